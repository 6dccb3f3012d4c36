/** Two photos side by side, both at the same magnification. */
import { button, make } from "./dom.ts";
import { word } from "./words.ts";

export interface Shown {
  src: string;
  caption: string;
}

const MOST = 8; // times
const FACTOR = 1.4;

/** Open both photos; wheel, buttons and keys magnify both at once, dragging and arrow keys move each or both. */
export function compare(photos: readonly Shown[]): void {
  let scale = 1;
  let x = 0;
  let y = 0; // of the centre, in shares of the pane
  const pictures = photos.map(({ src, caption }) => make("img", { src, alt: caption, draggable: "false" }));
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
  const panes = pictures.map((picture, place) => {
    const pane = make("div", { class: "compare-pane" }, picture);
    pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(event.deltaY < 0 ? FACTOR : 1 / FACTOR);
    }, { passive: false });
    pane.addEventListener("dblclick", () => zoom(scale > 1 ? 0 : 2.5));
    pane.addEventListener("pointerdown", (event) => {
      pane.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    pane.addEventListener("pointermove", (event) => {
      if (!pane.hasPointerCapture(event.pointerId)) return;
      x -= event.movementX / (pane.clientWidth * scale);
      y -= event.movementY / (pane.clientHeight * scale);
      paint();
    });
    return make("figure", {}, pane, make("figcaption", {}, photos[place]?.caption ?? ""));
  });
  const dialog = make("dialog", { class: "compare", "aria-label": word("compare") });
  const keys: Record<string, () => void> = {
    "+": () => zoom(FACTOR),
    "=": () => zoom(FACTOR),
    "-": () => zoom(1 / FACTOR),
    ArrowLeft: () => (x -= 0.1 / scale),
    ArrowRight: () => (x += 0.1 / scale),
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
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(
    make("div", { class: "compare-photos" }, ...panes),
    make(
      "div",
      { class: "dialog-buttons" },
      button(word("zoomIn"), () => zoom(FACTOR)),
      button(word("zoomOut"), () => zoom(1 / FACTOR)),
      button(word("close"), () => dialog.close(), "", "main"),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  paint();
}

/** Let every link that names a photo to compare with open both here rather than lead away. */
export function compareOnClick(root: HTMLElement, mine: (place: number) => string): void {
  root.addEventListener("click", (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>("a.zoomable");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const place = Number(link.dataset["compare"]);
    const own = { src: mine(place), caption: word("photoNumber", { number: place + 1 }) };
    const figure = link.closest("figure");
    const credits = link.dataset["with"] ? figure?.nextElementSibling : figure;
    const words = [...(credits?.querySelectorAll(".author, .licence") ?? [])].map((part) => part.textContent?.trim());
    const caption = [link.dataset["name"], ...words].filter(Boolean).join(" · ");
    compare([own, { src: link.dataset["with"] ?? link.href, caption }]);
  });
}
