/** The queue: single keys for those who go through many, which whoever reads by keys can turn off. */
import { compare } from "../compare.ts";
import { find } from "../dom.ts";
import { enlargeOnClick, shownBy } from "../enlarge.ts";
import { completeNames } from "../known.ts";
import { offerNames } from "../offers.ts";
import { word } from "../words.ts";

const KEPT = "shortcuts"; // on this device

const press = (id: string): void => document.getElementById(id)?.click();
const into = (id: string): void => {
  const field = document.getElementById(id) as HTMLInputElement | null;
  field?.focus();
  field?.select?.();
};

const keys: Record<string, () => void> = {
  j: () => press("next"),
  k: () => press("previous"),
  a: () => press("agree"),
  p: () => into("name"),
  c: () => into("certainty"),
  e: () => into("approved-name"),
  z: () => {
    const first = document.querySelector<HTMLAnchorElement>("#photos a.zoomable");
    if (first) compare([shownBy(first)]);
  },
};

const typing = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest("input:not([type=checkbox]), select, textarea, dialog, [contenteditable]") !== null;

function startShortcuts(): void {
  const box = find<HTMLInputElement>("shortcuts");
  box.hidden = find("shortcuts-label").hidden = false;
  box.checked = localStorage.getItem(KEPT) !== "off";
  box.addEventListener("change", () => {
    localStorage.setItem(KEPT, box.checked ? "on" : "off");
    find("shortcuts-said").textContent = word(box.checked ? "shortcutsOn" : "shortcutsOff");
  });
  document.addEventListener("keydown", (event) => {
    if (!box.checked || event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

enlargeOnClick(compare);
completeNames(find<HTMLInputElement>("filter"));
for (const id of ["name", "approved-name"]) {
  const field = document.getElementById(id) as HTMLInputElement | null;
  if (field) completeNames(field);
}
const name = document.getElementById("name") as HTMLInputElement | null;
if (name) offerNames(name);
if (document.getElementById("shortcuts")) startShortcuts();
