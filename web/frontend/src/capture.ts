/** Where photos come in: chosen, dropped, pasted, or taken, each part of the fungus by a button of its own. */
import { button, ICONS, icon, make } from "./dom.ts";
import type { Tray } from "./tray.ts";
import { word } from "./words.ts";

const SLOTS = ["cap", "hymenium", "stipe", "section", "habitat"]; // what tells species apart, in the order of taking

/** Let photos be dropped on a zone, pasted anywhere, and taken; `take` is told which part a photo is said to show. */
export function openDrops(field: HTMLInputElement, zone: HTMLElement, tray: Tray, take: (files: Iterable<File>, aspect: string) => void): void {
  zone.append(tray.trouble, tray.list);
  zone.classList.add("drop-zone");
  field.after(make("p", { class: "drop-hint" }, word("dropHint")));
  field.addEventListener("change", () => take([...(field.files ?? [])], ""));
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) zone.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(event.dataTransfer?.files ?? [], "");
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) {
      event.preventDefault();
      take(files, "");
    }
  });
  zone.querySelector("label")?.after(slots(tray, take));
}

/** A button for each part; those of which there is a photo are marked, as the photos themselves say. */
function slots(tray: Tray, take: (files: Iterable<File>, aspect: string) => void): HTMLElement {
  let wanted = "";
  const camera = make("input", { type: "file", accept: "image/*", capture: "environment", hidden: true, change: () => {
    take([...(camera.files ?? [])], wanted);
    camera.value = "";
  } });
  const buttons = SLOTS.map((aspect) => {
    const slot = button("", () => {
      wanted = aspect;
      camera.click();
    }, "", "quiet slot");
    slot.append(icon(ICONS.camera), make("span", {}, word(`slot-${aspect}`)));
    return { aspect, slot };
  });
  const mark = (): void => {
    const taken = new Set(tray.photos.map(({ aspect }) => aspect));
    for (const { aspect, slot } of buttons) slot.classList.toggle("taken", taken.has(aspect));
  };
  new MutationObserver(mark).observe(tray.list, { childList: true });
  tray.list.addEventListener("change", mark);
  mark();
  return make("div", { class: "slots", role: "group", "aria-label": word("slots") }, ...buttons.map(({ slot }) => slot), camera);
}
