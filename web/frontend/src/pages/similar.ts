/** Similar images: a grid without an end, a box inside the photo, and any photo dropped or pasted. */
import { askForBox } from "../box.ts";
import { compare } from "../compare.ts";
import { button, find, make } from "../dom.ts";
import { endless, Grid } from "../grid.ts";
import { enlargeOnClick, shownInAnswer } from "../enlarge.ts";
import { completeNames } from "../known.ts";
import { decode, draw, isPhoto, toJpeg, WHOLE } from "../prepare.ts";
import { send } from "../send.ts";
import { word } from "../words.ts";

const form = find<HTMLFormElement>("ask");
const field = find<HTMLInputElement>("photos");
const grid = find("grid");
const rows = new Grid(grid);
const trouble = find("trouble");
const shown = find("query-photo");
const progress = find("progress");
const words = find("progress-words");
let own: Blob | null = null; // what is searched by, where it is a photo of the person's

function complain(said: string): void {
  trouble.replaceChildren(make("section", { class: "problem", role: "alert" }, make("p", {}, said)));
}

function say(status: number, html: string): void {
  if (html.includes('class="problem"')) trouble.innerHTML = html;
  else complain(word(status === 0 ? "offline" : status === 413 ? "allTooLarge" : status >= 500 || status === 429 ? "busy" : "refused"));
}

/** Search with what the form says, by `own` where there is such a photo. */
async function search(): Promise<void> {
  trouble.replaceChildren();
  progress.hidden = false;
  const sent = new FormData(form);
  sent.delete("photos");
  if (own) {
    for (const other of ["photo", "embedding"]) sent.delete(other);
    sent.append("photos", own, "photo.jpg");
  }
  const reply = await send(form.action, sent, (_, said) => (words.textContent = said));
  progress.hidden = true;
  if (reply.status !== 200) {
    say(reply.status, reply.html);
    return;
  }
  grid.innerHTML = reply.html;
  rows.layAnew();
  watch();
}

async function take(files: Iterable<File>): Promise<void> {
  const [file] = files;
  if (!file) return;
  field.value = "";
  if (!(await isPhoto(file))) {
    complain(word("noPhoto", { name: file.name }));
    return;
  }
  const bitmap = await decode(file);
  own = bitmap ? await toJpeg(draw(bitmap, 0, WHOLE)) : file;
  field.required = false;
  if (bitmap) show(bitmap);
  else shown.hidden = true;
  await search();
}

/** Show what is searched by, with a way to search by a part of it. */
function show(bitmap: ImageBitmap): void {
  shown.hidden = false;
  const picture = draw(bitmap, 0, WHOLE, 640);
  picture.className = "query-canvas";
  shown.replaceChildren(picture, boxButton(() => Promise.resolve(bitmap)));
}

function boxButton(photo: () => Promise<ImageBitmap | null>): HTMLButtonElement {
  return button(word("box"), () => {
    void photo().then((bitmap) => {
      if (!bitmap) return;
      askForBox(draw(bitmap, 0, WHOLE, 1200), { left: 0.2, top: 0.2, width: 0.6, height: 0.6 }, (box) => {
        void toJpeg(draw(bitmap, 0, box)).then((part) => {
          own = part;
          return search();
        });
      });
    });
  });
}

/** Let the end of the grid fetch what comes next, in place of the button. */
function watch(): void {
  const more = grid.querySelector<HTMLElement>(".shot-more");
  if (!more) return;
  endless(more, async () => {
    const next = more.querySelector("form");
    if (!next) return false;
    const reply = await send(next.action, new FormData(next), () => undefined);
    if (reply.status !== 200) return false; // the button stays, and asks again
    more.remove();
    grid.insertAdjacentHTML("beforeend", reply.html);
    rows.layMore();
    watch();
    return false;
  });
}

field.addEventListener("change", () => void take([...(field.files ?? [])]));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  void take(event.dataTransfer?.files ?? []);
});
document.addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (files.length) void take(files);
});
form.addEventListener("submit", (event) => {
  if (!own && !form.elements.namedItem("photo") && !form.elements.namedItem("embedding")) return;
  event.preventDefault();
  void search();
});
field.after(make("p", { class: "drop-hint" }, word("dropHint")));
const picture = shown.querySelector("img");
if (picture) {
  const large = picture.dataset["large"] ?? picture.src;
  shown.append(boxButton(() => fetch(large).then((reply) => reply.blob()).then(decode).catch(() => null)));
  enlargeOnClick(compare, (link) => shownInAnswer(link, () => large), grid);
}
completeNames(find<HTMLInputElement>("taxon"));
rows.layAnew();
watch();
