/** Observations on a map, each as finely as this visitor may know its place. */
import { accent, L, makeMap } from "./map.ts";
import type { Point } from "./point.ts";

const HALF = 0.1; // degrees: half of a cell

function shape({ latitude, longitude, metres, cell }: Point): L.Layer[] {
  if (cell) {
    const corners: L.LatLngBoundsExpression = [[latitude - HALF, longitude - HALF], [latitude + HALF, longitude + HALF]];
    return [L.rectangle(corners, { color: accent(), weight: 1, dashArray: "4 4", fillOpacity: 0.15 })];
  }
  const spot = L.circleMarker([latitude, longitude], { radius: 7, color: accent(), fillOpacity: 0.6 });
  return metres > 0 ? [L.circle([latitude, longitude], { radius: metres, color: accent(), weight: 1, fillOpacity: 0.1 }), spot] : [spot];
}

function label({ title, url }: Point): HTMLElement {
  const link = document.createElement("a");
  link.href = url;
  link.textContent = title;
  return link;
}

/** Draw points on a map in an element, and show all of them. */
export async function drawPoints(box: HTMLElement, points: readonly Point[], links: boolean): Promise<L.Map> {
  box.hidden = false;
  const map = await makeMap(box, { center: [54, 10], zoom: 4 });
  if (points.length) {
    const drawn = L.featureGroup(points.flatMap((point) => shape(point).map((layer) => (links ? layer.bindPopup(label(point)) : layer)))).addTo(map);
    map.fitBounds(drawn.getBounds(), { maxZoom: links ? 8 : 9, padding: [30, 30] });
  }
  return map;
}
