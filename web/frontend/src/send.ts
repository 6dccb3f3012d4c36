/** A form sent with progress; what comes back is a piece of a page. */
import { make } from "./dom.ts";
import { word } from "./words.ts";

export interface Reply {
  status: number; // 0: nothing came back
  html: string;
  why?: "cancelled" | "stalled"; // where nothing came back
}

const STALLED = 60_000; // milliseconds without a byte sent
const UNANSWERED = 180_000; // milliseconds for the answer, once all is sent

/**
 * Post a form; `progress` is told the share sent, then that the server is at work. Ends by `cancel`, or where nothing
 * moves any more. Never rejects.
 */
export function send(
  address: string,
  form: FormData,
  progress: (share: number, words: string) => void,
  cancel?: AbortSignal,
  headers: Record<string, string> = { "X-Fragment": "yes", Accept: "text/html" },
): Promise<Reply> {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    let why: Reply["why"];
    let waiting = 0;
    const wait = (limit: number): void => {
      window.clearTimeout(waiting);
      waiting = window.setTimeout(() => {
        why = "stalled";
        request.abort();
      }, limit);
    };
    cancel?.addEventListener("abort", () => {
      why = "cancelled";
      request.abort();
    });
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      wait(STALLED);
      const share = event.lengthComputable ? event.loaded / event.total : 0;
      progress(share, share < 1 ? word("sending", { share: Math.round(100 * share) }) : word("comparing"));
    };
    request.upload.onload = () => {
      wait(UNANSWERED);
      progress(1, word("comparing"));
    };
    request.onload = () => resolve({ status: request.status, html: request.responseText });
    request.onerror = () => resolve({ status: 0, html: "", ...(why && { why }) });
    request.onabort = request.onerror;
    request.onloadend = () => window.clearTimeout(waiting);
    wait(STALLED);
    request.send(form);
  });
}

/** The address of the page to go on to, where the server sent one; empty otherwise. */
export function followingPage({ status, html }: Reply): string {
  const address = status === 200 ? /id="done" href="([^"]*)"/.exec(html)?.[1] : undefined;
  return (address ?? "").replaceAll("&amp;", "&");
}

/** Say what went wrong in the server's words, or in ours where nothing of the server's came back. */
export function explain(trouble: HTMLElement, { status, html, why }: Reply): void {
  if (why === "cancelled") trouble.replaceChildren(make("p", { role: "status" }, word("cancelled")));
  else if (html.includes('class="problem"')) trouble.innerHTML = html;
  else {
    const said = why ?? (status === 0 ? "offline" : status === 413 ? "allTooLarge" : status === 429 || status >= 500 ? "busy" : "refused");
    trouble.replaceChildren(make("section", { class: "problem", role: "alert" }, make("h2", {}, word(`${said}Title`)), make("p", {}, word(said))));
  }
  trouble.append(make("p", { class: "again" }, word("stillHere")));
  trouble.scrollIntoView({ block: "nearest" });
}
