/** The map of floras: the countries of each, to click on. */
import { find, make } from "../dom.ts";
import { L, makeMap } from "../map.ts";
import { word } from "../words.ts";
import { countries, floraAreas } from "../world.ts";

const ACCENT = "#96461f";

async function begin(): Promise<void> {
  const areas = (await floraAreas()).filter((area) => area.countries.length);
  if (!areas.length) return;
  const box = find("map");
  box.hidden = false;
  const map = await makeMap(box, { center: [54, 10], zoom: 3 });
  const held = new Map<string, typeof areas>();
  for (const area of areas) for (const country of area.countries) held.set(country, [...(held.get(country) ?? []), area]);
  const mine = (await countries()).filter((country) => held.has(String(country.id)));
  const layer = L.geoJSON(mine, {
    style: (country) => ({ color: ACCENT, weight: 1.5, fillColor: ACCENT, fillOpacity: 0.15 + 0.12 * (held.get(String(country?.id))?.length ?? 0) }),
    onEachFeature: (country, shape) => {
      const links = (held.get(String(country.id)) ?? []).map((area) =>
        make("li", {}, make("a", { href: area.url }, area.title), ` ${word("species", { number: area.species })}`),
      );
      shape.bindPopup(make("ul", {}, ...links));
    },
  }).addTo(map);
  const europe = L.latLngBounds([[35, -12], [70, 32]]);
  const bounds = layer.getBounds();
  map.fitBounds(bounds.isValid() && !bounds.contains(europe) ? bounds : europe, { maxZoom: 5 });
}

void begin();
