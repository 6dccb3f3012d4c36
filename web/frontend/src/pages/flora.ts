/** A flora's species: all of them at hand, searched while typing. */
import { find, make } from "../dom.ts";
import { VirtualList } from "../virtual.ts";
import { url, word } from "../words.ts";

type Row = [id: number, name: string, family: string, common: string, photos: number, toxic: boolean];

const box = find("rows");
const wanted = find<HTMLInputElement>("q");
const shown = find<HTMLSelectElement>("show");
const found = find("found");

function draw([id, name, family, common, photos]: Row): HTMLElement {
  const title = make("span", {}, make("a", { href: url("page") + String(id) }, make("i", {}, name)));
  if (common) title.append(make("small", {}, common));
  return make("div", { class: photos ? "row" : "row missing", role: "listitem" }, title, make("span", {}, family), make("span", { class: "number" }, photos ? word("photos", { number: photos }) : word("none")));
}

async function begin(): Promise<void> {
  const reply = await fetch(url("species"));
  if (!reply.ok) return; // the plain table stays
  const rows = (await reply.json()) as Row[];
  const searched = rows.map(([, name, family, common]) => `${name} ${family} ${common}`.toLowerCase());
  const list = new VirtualList(box, draw);
  const filter = (): void => {
    const words = wanted.value.trim().toLowerCase();
    const fits = (row: Row, place: number): boolean =>
      (shown.value === "all" || (shown.value === "covered") === row[4] > 0) && (!words || (searched[place] ?? "").includes(words));
    const kept = rows.filter(fits);
    list.show(kept);
    found.textContent = word("found", { number: kept.length.toLocaleString(document.documentElement.lang) });
  };
  box.hidden = false;
  box.tabIndex = 0;
  box.setAttribute("role", "list");
  box.setAttribute("aria-label", word("list"));
  find("plain").hidden = true;
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  find("filters").querySelector("button")?.remove();
  wanted.addEventListener("input", filter);
  shown.addEventListener("change", filter);
  filter();
}

void begin();
