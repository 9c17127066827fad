import { useEffect, useRef } from "preact/hooks";
import { toCsv, type Table } from "../data/csv.ts";
import { usePage } from "./page.ts";

/** Offers a view's table for download while the view is shown. */
export function useTable(make: () => Table): void {
  const page = usePage();
  const latest = useRef(make);
  latest.current = make;
  useEffect(() => {
    const offered = (): Table => latest.current();
    page.table.value = offered;
    return () => {
      if (page.table.peek() === offered) page.table.value = null;
    };
  }, [page]);
}

/** Saves a table as a CSV file. */
export function download(table: Table): void {
  const url = URL.createObjectURL(new Blob([toCsv(table)], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `${table.name.replaceAll(/[^\w.-]+/g, "_")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
