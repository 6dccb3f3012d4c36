/** The outlines of countries, and which of them holds a place. From Natural Earth, which is in the public domain. */
import type { Feature, FeatureCollection, MultiPolygon, Polygon, Position } from "geojson";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import { url } from "./words.ts";

type Country = Feature<Polygon | MultiPolygon>;
let fetched: Promise<Country[]> | null = null;

/** The countries, fetched once; `id` is the ISO 3166-1 number. */
export function countries(): Promise<Country[]> {
  fetched ??= fetch(url("world"))
    .then((reply) => reply.json() as Promise<Topology<{ countries: GeometryCollection }>>)
    .then((world) => (feature(world, world.objects.countries) as FeatureCollection<Polygon | MultiPolygon>).features.map(unwrap));
  return fetched;
}

/** Let a country that lies on both sides of 180 degrees go on beyond it, or its outline would cross the whole map. */
function unwrap(country: Country): Country {
  if (country.id === "010") return country; // Antarctica goes round the pole
  for (const polygon of polygons(country)) {
    for (const ring of polygon) {
      let before = ring[0]?.[0] ?? 0;
      for (const place of ring) {
        const [x = 0] = place;
        place[0] = x + 360 * Math.round((before - x) / 360);
        before = place[0];
      }
    }
  }
  return country;
}

const polygons = (country: Country): Position[][][] =>
  country.geometry.type === "Polygon" ? [country.geometry.coordinates] : country.geometry.coordinates;

/** Whether a ring goes round a place, by the number of its edges east of it. */
function rings([x, y]: [number, number], ring: Position[]): boolean {
  let inside = false;
  for (let here = 0, last = ring.length - 1; here < ring.length; last = here++) {
    const [ax = 0, ay = 0] = ring[here] ?? [];
    const [bx = 0, by = 0] = ring[last] ?? [];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  }
  return inside;
}

/** How far a country is from a place, in degrees of latitude, about; 0 where it holds it. */
export function distance(latitude: number, longitude: number, country: Country): number {
  const shrink = Math.cos((latitude * Math.PI) / 180);
  let nearest = Infinity;
  for (const polygon of polygons(country)) {
    const holds = (turned: number): boolean => polygon.filter((ring) => rings([turned, latitude], ring)).length % 2 === 1;
    if (holds(longitude) || holds(longitude + 360) || holds(longitude - 360)) return 0;
    for (const ring of polygon) {
      for (const [x = 0, y = 0] of ring) nearest = Math.min(nearest, Math.hypot((x - longitude) * shrink, y - latitude));
    }
  }
  return nearest;
}

export interface Area {
  id: string; // of a flora
  title: string;
  url: string;
  countries: string[]; // ISO 3166-1 numbers
  species: number;
}

let areas: Promise<Area[]> | null = null;

/** Where each flora is, as far as its countries say; fetched once. */
export function floraAreas(): Promise<Area[]> {
  areas ??= fetch(url("areas")).then((reply) => reply.json() as Promise<Area[]>);
  return areas;
}

/** The flora nearest to a place: of those equally near the one of fewest countries. Null where no flora has any. */
export async function nearestFlora(latitude: number, longitude: number): Promise<Area | null> {
  const [world, floras] = await Promise.all([countries(), floraAreas()]);
  const wanted = new Set(floras.flatMap((flora) => flora.countries));
  const far = new Map(
    world.filter((country) => wanted.has(String(country.id))).map((country) => [String(country.id), distance(latitude, longitude, country)]),
  );
  const placed = floras
    .map((flora) => ({ flora, far: Math.min(...flora.countries.map((country) => far.get(country) ?? Infinity)) }))
    .filter((found) => Number.isFinite(found.far));
  placed.sort((a, b) => a.far - b.far || a.flora.countries.length - b.flora.countries.length || a.flora.species - b.flora.species);
  return placed[0]?.flora ?? null;
}
