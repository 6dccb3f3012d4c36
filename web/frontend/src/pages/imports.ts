/** Imports: the table is asked for anew while one is running. */
import { find } from "../dom.ts";
import { word } from "../words.ts";

const PAUSE = 3000; // milliseconds

async function look(): Promise<void> {
  if (find("runs").dataset["running"] === "0") return;
  if (!document.hidden && !find("runs").contains(document.activeElement)) {
    try {
      const reply = await fetch(window.location.href, { headers: { "X-Fragment": "yes", Accept: "text/html" } });
      if (!reply.ok) throw new Error(String(reply.status));
      find("runs").outerHTML = await reply.text();
      find("imports-said").textContent = "";
    } catch {
      find("imports-said").textContent = word("stale");
    }
  }
  window.setTimeout(() => void look(), PAUSE);
}

window.setTimeout(() => void look(), PAUSE);
