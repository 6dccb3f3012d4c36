/** A box round the fungus: dragged with a finger or a mouse, or moved and sized with the arrow keys. */
import { closeDialog, openDialog } from "./dialog.ts";
import { button, make } from "./dom.ts";
import { type Box, draw, WHOLE } from "./prepare.ts";
import { word } from "./words.ts";

const STEP = 0.02; // of the photo, for a press of an arrow key
const LEAST = 0.05;

const bounded = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** Ask for a box on a picture; `done` is called with it, or not at all where the person goes back. */
export function askForBox(picture: HTMLElement, first: Box, done: (box: Box) => void): void {
  let box = first;
  const frame = make("div", { class: "box-frame", tabindex: "0", role: "application", "aria-label": word("boxKeys") });
  const stage = make("div", { class: "box-stage" }, picture, frame);
  const paint = (): void => {
    frame.style.left = `${100 * box.left}%`;
    frame.style.top = `${100 * box.top}%`;
    frame.style.width = `${100 * box.width}%`;
    frame.style.height = `${100 * box.height}%`;
  };
  const at = (event: PointerEvent): [number, number] => {
    const bounds = stage.getBoundingClientRect();
    return [bounded((event.clientX - bounds.left) / bounds.width, 0, 1), bounded((event.clientY - bounds.top) / bounds.height, 0, 1)];
  };
  let from: [number, number] | null = null;
  stage.addEventListener("pointerdown", (event) => {
    from = at(event);
    stage.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = at(event);
    if (Math.abs(x - from[0]) < LEAST || Math.abs(y - from[1]) < LEAST) return;
    box = { left: Math.min(x, from[0]), top: Math.min(y, from[1]), width: Math.abs(x - from[0]), height: Math.abs(y - from[1]) };
    paint();
  });
  stage.addEventListener("pointerup", () => (from = null));
  frame.addEventListener("keydown", (event) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (x === 0 && y === 0) return;
    event.preventDefault();
    if (event.shiftKey) {
      const width = bounded(box.width + STEP * (x ?? 0), LEAST, 1 - box.left);
      const height = bounded(box.height + STEP * (y ?? 0), LEAST, 1 - box.top);
      box = { ...box, width, height };
    } else {
      const left = bounded(box.left + STEP * (x ?? 0), 0, 1 - box.width);
      const top = bounded(box.top + STEP * (y ?? 0), 0, 1 - box.height);
      box = { ...box, left, top };
    }
    paint();
  });
  const dialog = make("dialog", { class: "box-dialog", "aria-labelledby": "box-title" });
  let chosen: Box | null = null;
  const close = (box: Box | null): void => {
    chosen = box;
    closeDialog(dialog);
  };
  dialog.append(
    make("h2", { id: "box-title" }, word("boxTitle")),
    make("p", { class: "help" }, word("boxHelp")),
    stage,
    make(
      "div",
      { class: "dialog-buttons" },
      button(word("boxUse"), () => close(box), "", "main"),
      button(word("boxWhole"), () => close(WHOLE)),
      button(word("back"), () => close(null)),
    ),
  );
  paint();
  openDialog(dialog, () => chosen && done(chosen));
  frame.focus();
}

/** The same on a photo of the tray. */
export function boxPhoto(photo: { bitmap: ImageBitmap | null; turns: number; box: Box }, done: () => void): void {
  if (!photo.bitmap) return;
  askForBox(draw(photo.bitmap, photo.turns, WHOLE, 1200), photo.box === WHOLE ? { left: 0.1, top: 0.1, width: 0.8, height: 0.8 } : photo.box, (box) => {
    photo.box = box;
    done();
  });
}
