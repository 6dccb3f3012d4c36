/** Observations on a map, and where to look near to. */
import { button, find, make } from "../dom.ts";
import { drawPoints } from "../observation_map.ts";
import { completeNames } from "../known.ts";
import { near, points, word } from "../words.ts";

const DIGITS = 3; // of a degree: some hundred metres

function lookNear(latitude: number, longitude: number): void {
  find<HTMLInputElement>("latitude").value = latitude.toFixed(DIGITS);
  find<HTMLInputElement>("longitude").value = longitude.toFixed(DIGITS);
  find<HTMLFormElement>("filters").requestSubmit();
}

completeNames(find<HTMLInputElement>("taxon"));
if (near !== null) {
  const tools = find("near-tools");
  const said = make("p", { class: "help", role: "status" }, word("clickNear"));
  if ("geolocation" in navigator && window.isSecureContext) {
    tools.append(
      button(word("hereNow"), () => {
        navigator.geolocation.getCurrentPosition(
          ({ coords }) => lookNear(coords.latitude, coords.longitude),
          () => (said.textContent = word("notLocated")),
        );
      }),
    );
  }
  tools.append(said);
  tools.hidden = false;
}
if (points.length || near !== null) {
  void drawPoints(find("map"), points, true).then((map) => {
    if (near === null) return;
    map.on("click", ({ latlng }: { latlng: { lat: number; lng: number } }) => lookNear(latlng.lat, ((((latlng.lng + 180) % 360) + 360) % 360) - 180));
  });
}
