/** A table to download: a header and rows; null and NaN are empty fields. */
export interface Table {
  name: string;
  header: string[];
  rows: Iterable<(string | number | boolean | null)[]>;
}

/** CSV after RFC 4180: comma, CRLF, quotes where they are needed. */
export function toCsv(table: Table): string {
  const lines = [table.header.map(field).join(",")];
  for (const row of table.rows) lines.push(row.map(field).join(","));
  return lines.join("\r\n") + "\r\n";
}

function field(value: string | number | boolean | null): string {
  if (value === null || Number.isNaN(value)) return "";
  const text = String(value);
  // A text that a spreadsheet would take for a formula is marked as text.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A time as ISO 8601 in UTC, to the microsecond. */
export function isoTime(t: number): string {
  const micros = Math.round((t - Math.floor(t)) * 1000);
  const base = new Date(Math.floor(t) + (micros === 1000 ? 1 : 0)).toISOString();
  return base.replace("Z", `${String(micros % 1000).padStart(3, "0")}Z`);
}
