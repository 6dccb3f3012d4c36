/** A species: its photos large when they are tapped, and the cells that it was recorded in on a map. */
import { compare } from "../compare.ts";
import { url, word } from "../words.ts";

interface Cell {
  outline: [number, number][];
  records: number;
}

async function drawCells(box: HTMLElement): Promise<void> {
  const [{ accent, L, makeMap }, cells] = await Promise.all([
    import("../map.ts"),
    fetch(url("cells")).then((reply) => reply.json() as Promise<Cell[]>),
  ]);
  box.hidden = false;
  const map = await makeMap(box, { center: [54, 10], zoom: 3 });
  const most = Math.max(...cells.map((cell) => cell.records));
  const shapes = cells.map((cell) =>
    L.polygon(cell.outline, { color: accent(), weight: 2.5, fillOpacity: 0.25 + 0.6 * (cell.records / most) }).bindTooltip(word("records", { number: cell.records })),
  );
  map.fitBounds(L.featureGroup(shapes).addTo(map).getBounds(), { maxZoom: 6, padding: [20, 20] });
}

document.addEventListener("click", (event) => {
  const link = (event.target as Element).closest<HTMLAnchorElement>("a.zoomable");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const words = [...(link.closest("figure")?.querySelectorAll(".author, .licence") ?? [])].map((part) => part.textContent?.trim());
  const photo = { src: link.href, caption: [link.dataset["name"], ...words].filter(Boolean).join(" · ") };
  const strip = link.closest(".beside");
  const other = strip && [...strip.querySelectorAll<HTMLAnchorElement>("a.zoomable")].find((each) => each.dataset["name"] !== link.dataset["name"]);
  compare(other ? [photo, { src: other.href, caption: other.dataset["name"] ?? "" }] : [photo]);
});

const box = document.getElementById("cells");
if (box) {
  const watcher = new IntersectionObserver((seen) => {
    if (!seen.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    void drawCells(box);
  });
  watcher.observe(box.parentElement ?? box);
}
