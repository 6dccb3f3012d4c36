/** Where and when the find was made: from a photo if the person agrees, from the map, from the device, or not at all. */
import type { Taken } from "./exif.ts";
import { button, find, make } from "./dom.ts";
import { word } from "./words.ts";

const DIGITS = 4; // of a degree: some ten metres; what is looked up are cells of 23 km

export class Place {
  private readonly latitude = find<HTMLInputElement>("latitude");
  private readonly longitude = find<HTMLInputElement>("longitude");
  private readonly day = find<HTMLInputElement>("date");
  private readonly flora = document.getElementById("flora") as HTMLSelectElement | null;
  private readonly uncertainty = document.getElementById("uncertainty") as HTMLInputElement | null; // metres
  private readonly more = find<HTMLElement>("more");
  private readonly asked = make("div", { class: "consent", role: "status" });
  private readonly proposal = make("div", { class: "proposal", role: "status" });
  private readonly box = make("div", { class: "map", hidden: true });
  private marker: { setLatLng: (place: [number, number]) => unknown; remove: () => unknown } | null = null;
  private answered = false;

  constructor() {
    const buttons = make(
      "div",
      { class: "place-buttons" },
      button(word("onMap"), () => void this.openMap()),
      ...("geolocation" in navigator && window.isSecureContext ? [button(word("hereNow"), () => this.locate())] : []),
      button(word("noPlace"), () => this.set(null)),
    );
    find("place").append(buttons, this.box);
    this.more.before(this.asked);
    (this.flora?.closest(".field") ?? find("place")).append(this.proposal);
    for (const field of [this.latitude, this.longitude]) field.addEventListener("change", () => void this.propose());
  }

  /** Offer what the photos know of day and place; nothing of it is used before the person says so. */
  async offer(files: readonly File[]): Promise<void> {
    if (this.answered || this.latitude.value) return;
    const { readTaken } = await import("./exif.ts");
    const known = await Promise.all(files.map(readTaken));
    const placed = known.find((taken) => taken.latitude !== null);
    const dated = known.find((taken) => taken.day);
    if (!placed && !(dated && !this.day.value)) return;
    this.ask(placed, dated?.day ?? "");
  }

  private ask(placed: Taken | undefined, day: string): void {
    const done = (): void => {
      this.answered = true;
      this.asked.replaceChildren();
    };
    const use = (withPlace: boolean): void => {
      if (day && !this.day.value) this.day.value = day;
      if (withPlace && placed?.latitude != null && placed.longitude != null) this.set([placed.latitude, placed.longitude]);
      if (this.more instanceof HTMLDetailsElement) this.more.open = true;
      done();
    };
    const choices = [
      ...(placed ? [button(word(day ? "useBoth" : "usePlace"), () => use(true))] : []),
      ...(day ? [button(word("useDay", { day }), () => use(false))] : []),
      button(word("useNothing"), done),
    ];
    this.asked.replaceChildren(make("p", {}, word(placed ? "photoKnowsPlace" : "photoKnowsDay")), make("div", { class: "place-buttons" }, ...choices));
  }

  private set(place: [number, number] | null): void {
    this.latitude.value = place ? place[0].toFixed(DIGITS) : "";
    this.longitude.value = place ? place[1].toFixed(DIGITS) : "";
    if (place) this.marker?.setLatLng(place);
    else {
      this.marker?.remove();
      this.marker = null;
    }
    void this.propose();
  }

  /** The place that is typed, with a decimal point or comma; null where it is none. */
  private read(): [latitude: number, longitude: number] | null {
    const [latitude = NaN, longitude = NaN] = [this.latitude, this.longitude].map(({ value }) => (value.trim() ? Number(value.replace(",", ".")) : NaN));
    return Number.isFinite(latitude) && Number.isFinite(longitude) ? [latitude, longitude] : null;
  }

  private locate(): void {
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => this.set([coords.latitude, coords.longitude]),
      () => this.proposal.replaceChildren(make("p", { class: "help" }, word("notLocated"))),
    );
  }

  private async openMap(): Promise<void> {
    if (!this.box.hidden) return;
    this.box.hidden = false;
    const { L, makeMap } = await import("./map.ts");
    const place = this.read();
    const map = await makeMap(this.box, { center: place ?? [54, 10], zoom: place ? 6 : 4 });
    const around = L.circle([0, 0], { radius: 0, color: "#9a4a24", weight: 1, fillOpacity: 0.15, interactive: false });
    const put = (at: [number, number]): void => {
      this.marker ??= L.circleMarker(at, { radius: 8, color: "#9a4a24", fillOpacity: 0.6 }).addTo(map);
      this.marker.setLatLng(at);
      around.setLatLng(at).setRadius(Number(this.uncertainty?.value) || 0).addTo(map);
    };
    if (place) put(place);
    this.uncertainty?.addEventListener("input", () => around.setRadius(Number(this.uncertainty?.value) || 0));
    map.on("click", ({ latlng }: { latlng: { lat: number; lng: number } }) => {
      const at: [number, number] = [latlng.lat, ((((latlng.lng + 180) % 360) + 360) % 360) - 180];
      put(at);
      this.set(at);
    });
  }

  /** Propose the flora nearest to the place, where it is another than the chosen one. */
  private async propose(): Promise<void> {
    this.proposal.replaceChildren();
    const place = this.read();
    if (!place) return;
    const { nearestFlora } = await import("./world.ts");
    const near = await nearestFlora(...place).catch(() => null);
    const flora = this.flora;
    if (!near || !flora || near.id === flora.value || ![...flora.options].some((option) => option.value === near.id)) return;
    const take = button(word("useFlora", { title: near.title }), () => {
      flora.value = near.id;
      this.proposal.replaceChildren(make("p", { class: "help" }, word("floraChosen", { title: near.title })));
    });
    this.proposal.replaceChildren(make("p", {}, word("nearestFlora", { title: near.title })), take);
  }
}
