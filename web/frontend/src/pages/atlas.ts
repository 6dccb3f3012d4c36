/** The atlas: moved and magnified smoothly, photos when they are near, doubtful records marked. */
import { closeDialog, openDialog } from "../dialog.ts";
import { button, find, make } from "../dom.ts";
import { Points, type View } from "../points.ts";
import { url, word } from "../words.ts";

type Names = [species: string, genus: string, family: string][];

interface Shot {
  row: number;
  name: string;
  stranger: string;
  author: string;
  licence: string;
  thumbnail: string;
  picture: string;
  speciesUrl: string;
  similarUrl: string;
}

const NEAR = 24; // photos shown at once
const LEGEND = 12;
const FACTOR = 1.5;

const box = find("atlas");
const said = find("atlas-words");
const colourBy = find<HTMLSelectElement>("colour");
const onlyDoubtful = find<HTMLInputElement>("doubtful");
const shots = make("div", { class: "atlas-shots" });
const known = new Map<number, Shot>();
const dark = window.matchMedia("(prefers-color-scheme: dark)");

/** A colour of its own for each number: the golden angle keeps neighbours apart. */
function hue(number: number): string {
  return `hsl(${Math.round((number * 137.508) % 360)} ${number % 2 ? 55 : 70}% ${(dark.matches ? 58 : 40) + 8 * (number % 3)}%)`;
}

function asPixel(colour: string): number {
  const context = document.createElement("canvas").getContext("2d");
  if (!context) return 0xff000000;
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [red = 0, green = 0, blue = 0] = context.getImageData(0, 0, 1, 1).data;
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

async function begin(): Promise<void> {
  box.hidden = false;
  said.textContent = word("loading");
  const [names, bytes] = await Promise.all([
    fetch(url("names")).then((reply) => reply.json() as Promise<Names>),
    fetch(url("points")).then((reply) => reply.arrayBuffer()),
  ]);
  const count = bytes.byteLength / 20;
  const places = new Float32Array(bytes, 0, 2 * count);
  const rows = new Uint32Array(bytes, 8 * count, count);
  const species = new Uint32Array(bytes, 12 * count, count);
  const strangers = new Uint32Array(bytes, 16 * count, count);
  const canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": word("atlas") });
  box.prepend(canvas, shots);
  const points = new Points(canvas, places, new Uint32Array(count), (point) => (strangers[point] as number) > 0);
  let waiting = 0;
  let asked = 0;

  const paint = (): void => {
    if (waiting) return;
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      points.draw(dark.matches ? 0xffffffff : 0xff000000);
      placeShots();
      performance.mark("atlas-frame");
    });
  };

  const recolour = (): void => {
    const by = Number(colourBy.value) as 0 | 1 | 2;
    const sizes = new Map<string, number>();
    for (const one of species) {
      const name = names[one - 1]?.[by] ?? "";
      sizes.set(name, (sizes.get(name) ?? 0) + 1);
    }
    const ordered = [...sizes].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
    const colours = new Map(ordered.map(([name], place) => [name, hue(place)]));
    const pixels = names.map((name) => asPixel(colours.get(name[by]) ?? "#888"));
    const given = new Uint32Array(count);
    for (let point = 0; point < count; point++) {
      if (!onlyDoubtful.checked || strangers[point]) given[point] = pixels[(species[point] as number) - 1] as number;
    }
    points.recolour(given);
    find("legend").replaceChildren(
      ...ordered.slice(0, LEGEND).map(([name, number]) => {
        const spot = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        spot.setAttribute("viewBox", "0 0 10 10");
        spot.setAttribute("aria-hidden", "true");
        const disc = document.createElementNS("http://www.w3.org/2000/svg", "circle");
        for (const [key, value] of [["cx", "5"], ["cy", "5"], ["r", "5"], ["fill", colours.get(name) ?? ""]] as const) disc.setAttribute(key, value);
        spot.append(disc);
        return make("li", {}, spot, `${name || "?"} ${number.toLocaleString(document.documentElement.lang)}`);
      }),
    );
    paint();
  };

  const describe = (point: number): string => {
    const name = names[(species[point] as number) - 1]?.[0] ?? "";
    const stranger = names[(strangers[point] as number) - 1]?.[0];
    return stranger ? `${name} – ${word("doubtful", { name: stranger })}` : name;
  };

  /** Show the photos of the points in sight, once these are few. */
  const placeShots = (): void => {
    const near = points.inSight(NEAR);
    const wanted = near.filter((point) => !known.has(rows[point] as number));
    if (wanted.length) {
      window.clearTimeout(asked);
      asked = window.setTimeout(() => {
        void fetch(`${url("photos")}?rows=${wanted.map((point) => rows[point]).join(",")}`)
          .then((reply) => (reply.ok ? (reply.json() as Promise<Shot[]>) : []))
          .then((found) => {
            for (const shot of found) known.set(shot.row, shot);
            paint();
          })
          .catch(() => undefined);
      }, 120);
    }
    shots.replaceChildren(
      ...near.flatMap((point) => {
        const shot = known.get(rows[point] as number);
        if (!shot) return [];
        const [left, top] = points.where(point);
        const link = make(
          "a",
          { href: shot.picture, title: `${describe(point)}\n${credit(shot)}` },
          make("img", { src: shot.thumbnail, alt: describe(point) }),
          make("span", { class: "atlas-credit" }, make("span", {}, shot.author || word("noAuthor")), make("span", {}, shot.licence || word("noLicence"))),
        );
        link.style.left = `${left}px`;
        link.style.top = `${top}px`;
        link.style.borderColor = strangers[point] ? "var(--warn)" : "var(--card)";
        link.addEventListener("click", (event) => {
          event.preventDefault();
          open(shot);
        });
        return [link];
      }),
    );
  };

  /** Never lose all points: where none is in sight, the nearest one is brought to the middle. */
  const look = (view: View): void => {
    points.view = view;
    if (points.inSight(0, 1).length) return paint();
    const point = points.nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, Infinity);
    if (point >= 0) points.view = { ...view, x: places[2 * point] as number, y: places[2 * point + 1] as number };
    paint();
  };
  const reach = (): number => 0.48 * Math.min(canvas.width, canvas.height);
  const zoom = (factor: number, left = canvas.clientWidth / 2, top = canvas.clientHeight / 2): void => {
    const view = points.view;
    const scale = Math.min(20_000 * reach(), Math.max(0.8 * reach(), view.scale * factor));
    const across = (left * points.ratio - canvas.width / 2) * (1 / view.scale - 1 / scale);
    const down = (top * points.ratio - canvas.height / 2) * (1 / view.scale - 1 / scale);
    look({ x: view.x + across, y: view.y + down, scale });
  };
  const move = (across: number, down: number): void => {
    const { x, y, scale } = points.view;
    look({ x: x - (across * points.ratio) / scale, y: y - (down * points.ratio) / scale, scale });
  };

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.offsetX, event.offsetY);
  }, { passive: false });
  const fingers = new Map<number, [number, number]>();
  let dragged = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    dragged = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) {
      const point = points.nearest(event.offsetX, event.offsetY);
      said.textContent = point < 0 ? word("points", { number: count.toLocaleString(document.documentElement.lang) }) : describe(point);
      return;
    }
    const now: [number, number] = [event.offsetX, event.offsetY];
    const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const ratio = Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1]));
      zoom(ratio, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else move(now[0] - before[0], now[1] - before[1]);
    dragged += Math.hypot(now[0] - before[0], now[1] - before[1]);
    fingers.set(event.pointerId, now);
  });
  const lift = (event: PointerEvent): void => {
    fingers.delete(event.pointerId);
    if (event.type !== "pointerup" || dragged > 5) return;
    const point = points.nearest(event.offsetX, event.offsetY);
    if (point < 0) return;
    const row = rows[point] as number;
    void fetch(`${url("photos")}?rows=${row}`).then((reply) => reply.json() as Promise<Shot[]>).then(([shot]) => shot && open(shot));
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  const keys: Record<string, () => void> = {
    "+": () => zoom(FACTOR),
    "=": () => zoom(FACTOR),
    "-": () => zoom(1 / FACTOR),
    ArrowLeft: () => move(60, 0),
    ArrowRight: () => move(-60, 0),
    ArrowUp: () => move(0, 60),
    ArrowDown: () => move(0, -60),
  };
  canvas.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  for (const id of ["colour-field", "doubtful-field"]) find(id).hidden = false;
  find("choose").before(button(word("zoomIn"), () => zoom(FACTOR)), button(word("zoomOut"), () => zoom(1 / FACTOR)));
  find("choose").remove();
  find("flora").addEventListener("change", () => find<HTMLSelectElement>("flora").form?.submit());
  colourBy.addEventListener("change", recolour);
  onlyDoubtful.addEventListener("change", recolour);
  new ResizeObserver(() => points.resize() && paint()).observe(canvas);
  points.view = { x: 0, y: 0, scale: reach() };
  said.textContent = word("points", { number: count.toLocaleString(document.documentElement.lang) });
  recolour();
}

/** Whose photo it is, and under which licence. */
function credit(shot: Shot): string {
  return `${shot.author || word("noAuthor")} · ${shot.licence || word("noLicence")}`;
}

/** A record, large, with whose it is and where to go on. */
function open(shot: Shot): void {
  const dialog = make("dialog", { class: "atlas-open", "aria-label": shot.name });
  dialog.append(
    make("img", { src: shot.picture, alt: shot.name, class: "atlas-picture" }),
    make("p", {}, make("i", {}, shot.name), shot.stranger ? ` – ${word("doubtful", { name: shot.stranger })}` : ""),
    make("p", { class: "help" }, credit(shot)),
    make("div", { class: "dialog-buttons" }, make("a", { href: shot.speciesUrl }, word("species")), make("a", { href: shot.similarUrl }, word("similar")), button(word("close"), () => closeDialog(dialog), "", "main")),
  );
  openDialog(dialog);
}

begin().catch(() => (said.textContent = word("notLoaded")));
