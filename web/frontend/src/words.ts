import type { Point } from "./point.ts";

/** What the server says to scripts: words in the visitor's language, and addresses. */
interface Said {
  words: Record<string, string>;
  urls: Record<string, string>;
  aspects?: Record<string, string>;
  tiles?: string;
  tilesCredit?: string;
  points?: Point[];
  near?: string | null;
}

const said: Said = JSON.parse(document.getElementById("words")?.textContent ?? '{"words":{},"urls":{}}') as Said;

/** The words of a key, with `{name}`s filled in. */
export function word(key: string, values: Record<string, string | number> = {}): string {
  return (said.words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** An address that the server gave. */
export function url(key: string): string {
  return said.urls[key] ?? "";
}

export const aspects: Record<string, string> = said.aspects ?? {};
export const points: Point[] = said.points ?? [];
export const near: string | null = said.near ?? null; // the point of a search nearby; empty before there is one
export const tiles = { url: said.tiles ?? "", credit: said.tilesCredit ?? "" };
