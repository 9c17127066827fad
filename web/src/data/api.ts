/** An answer of the server that is not the one asked for, or no answer. */
export class ApiError extends Error {
  /** @param status HTTP status, 0 where the server was not reached */
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(detail || title);
  }
}

/** Fetches a JSON body; anything else becomes an `ApiError`. */
export async function getJson<T>(path: string, query: Record<string, string | number | null | undefined> = {}, signal?: AbortSignal): Promise<T> {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) if (value != null) url.searchParams.set(name, String(value));
  let response: Response;
  try {
    response = await fetch(url, { signal, headers: { accept: "application/json" }, cache: "no-store" });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError(0, "No answer", "The server does not answer. Is bl serve running?");
  }
  if (!response.ok) throw await problem(response);
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(response.status, "Unreadable answer", `${url.pathname} did not answer with JSON.`);
  }
}

async function problem(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => ({}))) as { title?: string; detail?: string };
  return new ApiError(response.status, body.title ?? response.statusText, body.detail ?? "");
}

/** Path of a session's route. */
export function sessionPath(id: string, route: string): string {
  return `/api/sessions/${encodeURIComponent(id)}/${route}`;
}
