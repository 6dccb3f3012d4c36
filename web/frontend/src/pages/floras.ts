/** The map of floras: the countries of each, to click on. */
import { find, make } from "../dom.ts";
import { accent, L, makeMap } from "../map.ts";
import { word } from "../words.ts";
import { countries, floraAreas } from "../world.ts";

async function begin(): Promise<void> {
  const areas = (await floraAreas()).filter((area) => area.countries.length);
  if (!areas.length) return;
  const box = find("map");
  box.hidden = false;
  const map = await makeMap(box, { center: [54, 10], zoom: 3 });
  const held = new Map<string, typeof areas>();
  for (const area of areas) for (const country of area.countries) held.set(country, [...(held.get(country) ?? []), area]);
  const mine = (await countries()).filter((country) => held.has(String(country.id)));
  L.geoJSON(mine, {
    style: (country) => ({ color: accent(), weight: 1.5, fillColor: accent(), fillOpacity: 0.15 + 0.12 * (held.get(String(country?.id))?.length ?? 0) }),
    onEachFeature: (country, shape) => {
      const links = (held.get(String(country.id)) ?? []).map((area) =>
        make("li", {}, make("a", { href: area.url }, area.title), ` ${word("species", { number: area.species })}`),
      );
      shape.bindPopup(make("ul", {}, ...links));
    },
  }).addTo(map);
  // each country by its largest part: islands on the other side of the world would make all of it small
  const parts = mine.map((country) => {
    const polygons = country.geometry.type === "Polygon" ? [country.geometry.coordinates] : country.geometry.coordinates;
    const boxes = polygons.map((polygon) => L.latLngBounds((polygon[0] ?? []).map(([x = 0, y = 0]) => L.latLng(y, x))));
    const size = (box: L.LatLngBounds): number => (box.getNorth() - box.getSouth()) * (box.getEast() - box.getWest());
    return boxes.reduce((most, box) => (size(box) > size(most) ? box : most));
  });
  map.fitBounds(parts.reduce((all, box) => all.extend(box)), { maxZoom: 5 });
}

void begin();
