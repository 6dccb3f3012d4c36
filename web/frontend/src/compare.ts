/** Photos side by side, at the same magnification; those before and after are a swipe away. */
import { button, make } from "./dom.ts";
import { closeDialog, openDialog } from "./dialog.ts";
import { word } from "./words.ts";

export interface Shown {
  src: string;
  caption: string; // with author and licence
}

const MOST = 8; // times
const FACTOR = 1.4;
const SWIPE = 60; // pixels across

/**
 * Open a page of photos. Wheel, two fingers, buttons and keys magnify all photos of a page at once, dragging and arrow
 * keys move them; at no magnification a swipe leads to another page.
 */
export function compare(pages: readonly (readonly Shown[])[], first = 0): void {
  let at = first;
  let scale = 1;
  let x = 0;
  let y = 0; // of the centre, in shares of the pane
  let pictures: HTMLImageElement[] = [];
  const photos = make("div", { class: "compare-photos" });
  const paint = (): void => {
    const most = (scale - 1) / (2 * scale);
    x = Math.min(most, Math.max(-most, x));
    y = Math.min(most, Math.max(-most, y));
    for (const picture of pictures) picture.style.transform = `scale(${scale}) translate(${-100 * x}%, ${-100 * y}%)`;
  };
  const zoom = (factor: number): void => {
    scale = Math.min(MOST, Math.max(1, scale * factor));
    paint();
  };
  const fingers = new Map<number, [x: number, y: number]>();
  let swiped = 0; // pixels since the finger came down
  const touch = (pane: HTMLElement): void => {
    pane.addEventListener("pointerdown", (event) => {
      pane.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      swiped = 0;
      event.preventDefault();
    });
    pane.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const now: [number, number] = [event.clientX, event.clientY];
      const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
      fingers.set(event.pointerId, now);
      if (other) {
        swiped = NaN; // two fingers never swipe
        zoom(Math.hypot(now[0] - other[0], now[1] - other[1]) / Math.max(1, Math.hypot(before[0] - other[0], before[1] - other[1])));
        return;
      }
      swiped += now[0] - before[0];
      x -= (now[0] - before[0]) / (pane.clientWidth * scale);
      y -= (now[1] - before[1]) / (pane.clientHeight * scale);
      paint();
    });
    for (const kind of ["pointerup", "pointercancel"] as const) {
      pane.addEventListener(kind, (event) => {
        if (!fingers.delete(event.pointerId) || fingers.size || kind === "pointercancel") return;
        if (scale === 1 && Math.abs(swiped) > SWIPE) turn(swiped < 0 ? 1 : -1);
      });
    }
  };
  const show = (): void => {
    const page = pages[at] ?? [];
    pictures = page.map(({ src, caption }) => make("img", { src, alt: caption, draggable: "false" }));
    const panes = pictures.map((picture, place) => {
      const pane = make("div", { class: "compare-pane" }, picture);
      pane.addEventListener("wheel", (event) => {
        event.preventDefault();
        zoom(event.deltaY < 0 ? FACTOR : 1 / FACTOR);
      }, { passive: false });
      pane.addEventListener("dblclick", () => zoom(scale > 1 ? 0 : 2.5));
      touch(pane);
      return make("figure", {}, pane, make("figcaption", {}, page[place]?.caption ?? ""));
    });
    photos.replaceChildren(...panes);
    fingers.clear();
    scale = 1;
    paint();
    before.disabled = at === 0;
    after.disabled = at === pages.length - 1;
  };
  const turn = (by: number): void => {
    const next = at + by;
    if (next < 0 || next >= pages.length) return;
    at = next;
    show();
  };
  const before = button(word("before"), () => turn(-1));
  const after = button(word("after"), () => turn(1));
  const dialog = make("dialog", { class: "compare", "aria-label": word("compare") });
  const keys: Record<string, () => void> = {
    "+": () => zoom(FACTOR),
    "=": () => zoom(FACTOR),
    "-": () => zoom(1 / FACTOR),
    ArrowLeft: () => (scale > 1 ? (x -= 0.1 / scale) : turn(-1)),
    ArrowRight: () => (scale > 1 ? (x += 0.1 / scale) : turn(1)),
    ArrowUp: () => (y -= 0.1 / scale),
    ArrowDown: () => (y += 0.1 / scale),
  };
  dialog.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    paint();
  });
  dialog.append(
    photos,
    make(
      "div",
      { class: "dialog-buttons" },
      button(word("zoomIn"), () => zoom(FACTOR)),
      button(word("zoomOut"), () => zoom(1 / FACTOR)),
      ...(pages.length > 1 ? [before, after] : []),
      button(word("close"), () => closeDialog(dialog), "", "main"),
    ),
  );
  show();
  openDialog(dialog);
}
