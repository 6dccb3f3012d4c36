/** A species: its photos large when they are tapped, and the cells that it was recorded in on a map. */
import { compare } from "../compare.ts";
import { captionOf, enlargeOnClick } from "../enlarge.ts";
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

/** A photo; in a comparison with a look-alike, the other species' photo at the same place beside it. */
enlargeOnClick(compare, (link) => {
  const photo = { src: link.href, caption: captionOf(link) };
  const strips = [...(link.closest(".beside")?.querySelectorAll(".strip") ?? [])];
  const own = strips.findIndex((strip) => strip.contains(link));
  if (own < 0) return [photo];
  const place = [...(strips[own]?.querySelectorAll("a.zoomable") ?? [])].indexOf(link);
  const others = strips[1 - own]?.querySelectorAll<HTMLAnchorElement>("a.zoomable") ?? [];
  const other = others[Math.min(place, others.length - 1)];
  const pair = other ? [photo, { src: other.href, caption: captionOf(other) }] : [photo];
  return own === 0 ? pair : pair.reverse();
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
