/** A map of country outlines, with tiles below them where the server was given an address of some. */
import * as L from "leaflet";
import { asStylesheet } from "./styles.ts";
import { tiles, url, word } from "./words.ts";
import { countries } from "./world.ts";

/** The colour of what is shown on maps, in light and in dark. */
export const accent = (): string => getComputedStyle(document.documentElement).getPropertyValue("--accent").trim();

const LINES = "#8b7f6d";

/** Make a map in an element; the outlines follow as soon as they have come. */
export async function makeMap(element: HTMLElement, options: L.MapOptions = {}): Promise<L.Map> {
  await asStylesheet(url("mapStyles"));
  const map = L.map(element, { minZoom: 1, maxZoom: tiles.url ? 18 : 9, worldCopyJump: true, ...options });
  map.attributionControl.setPrefix(false);
  if (tiles.url) L.tileLayer(tiles.url, { attribution: tiles.credit.replaceAll("<", "&lt;"), maxZoom: 19 }).addTo(map);
  else map.attributionControl.addAttribution(word("mapCredit"));
  const outlines = await countries();
  L.geoJSON(outlines, {
    interactive: false,
    style: { color: LINES, weight: 1, fill: !tiles.url, fillColor: "#b7a98d", fillOpacity: 0.25, className: "country" },
  }).addTo(map);
  return map;
}

export { L };
