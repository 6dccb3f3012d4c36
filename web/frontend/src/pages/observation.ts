/** An observation: its photos large, its place on a map, names completed. */
import { compare } from "../compare.ts";
import { drawPoints } from "../observation_map.ts";
import { find } from "../dom.ts";
import { completeNames } from "../known.ts";
import { offerNames } from "../offers.ts";
import { enlargeOnClick } from "../enlarge.ts";
import { points } from "../words.ts";

enlargeOnClick(compare);
if (points.length) void drawPoints(find("map"), points, false);
for (const id of ["name", "approved-name"]) {
  const field = document.getElementById(id) as HTMLInputElement | null;
  if (field) completeNames(field);
}
const name = document.getElementById("name") as HTMLInputElement | null;
if (name) offerNames(name);
