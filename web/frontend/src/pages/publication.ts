/** A publication: asked for anew until it is over. */
import { find } from "../dom.ts";
import { word } from "../words.ts";

const PAUSE = 1000; // milliseconds

async function look(): Promise<void> {
  if (find("publication").dataset["state"] !== "running") return;
  try {
    const reply = await fetch(window.location.href, { headers: { "X-Fragment": "yes", Accept: "text/html" } });
    if (!reply.ok) throw new Error(String(reply.status));
    find("publication").outerHTML = await reply.text();
    find("publication-said").textContent = "";
  } catch {
    find("publication-said").textContent = word("stale");
  }
  window.setTimeout(() => void look(), PAUSE);
}

void look();
