/** The first page: makes the plain form pleasant. Without it, the form works as it is. */
import { boxPhoto } from "../box.ts";
import { compareOnClick } from "../compare.ts";
import { carry, comeBack, forget, leave } from "../carry.ts";
import { button, emptyField, find, make } from "../dom.ts";
import { completeNames } from "../known.ts";
import { Place } from "../place.ts";
import { explain, type Reply, send } from "../send.ts";
import { Tray } from "../tray.ts";
import { aspects, url, word } from "../words.ts";

const form = find<HTMLFormElement>("ask");
const field = find<HTMLInputElement>("photos");
const answer = find("answer");
const trouble = find("trouble");
const submit = find<HTMLButtonElement>("rank");
const progress = find("progress");
const bar = find<HTMLProgressElement>("progress-bar");
const words = find("progress-words");

const place = new Place();
const tray = new Tray(Number(form.dataset["photos"]), Number(form.dataset["bytes"]), photosChanged, boxPhoto);
let previews: string[] = [];
let restoring = false;
let shown = ""; // the answer, as the server laid it out
let waiting = 0; // the timer of what is still to be kept

function photosChanged(): void {
  field.required = tray.photos.length === 0;
  submit.textContent = word(answer.childElementCount ? "askAgain" : "rank");
  keepSoon();
}

interface Point {
  find?: string;
  top?: number; // pixels that the page was scrolled by
}

/** What the browser's history keeps of this page. */
function point(): Point {
  return (history.state as Point | null) ?? {};
}

/** Keep photos, form and answer on this device, a moment after the last change: for Back, and for loading anew. */
function keepSoon(): void {
  if (restoring) return;
  window.clearTimeout(waiting);
  waiting = window.setTimeout(() => void keepNow(), 400);
}

async function keepNow(): Promise<void> {
  window.clearTimeout(waiting);
  const find = point().find ?? `${Date.now()}-${Math.random()}`;
  if (!tray.photos.length) return forget(find);
  history.replaceState({ ...point(), find }, "");
  const blobs = await tray.prepared();
  const photos = tray.photos.flatMap(({ file, aspect, guessed }, number) => {
    const blob = blobs[number];
    return blob ? [{ blob, name: file.name, aspect, guessed }] : [];
  });
  const fields = Object.fromEntries([...new FormData(form)].filter((typed): typed is [string, string] => typeof typed[1] === "string"));
  await leave(find, { photos, fields, answer: shown });
}

/** Put back what stood here before somebody went on from this page, or loaded it anew. */
async function restore(): Promise<void> {
  const { find, top } = point();
  const left = find ? await comeBack(find) : null;
  if (!left || tray.photos.length) return;
  restoring = true;
  for (const [name, text] of Object.entries(left.fields)) {
    const typed = form.elements.namedItem(name);
    if (typed instanceof HTMLInputElement && typed.type === "checkbox") typed.checked = true;
    else if (typed instanceof HTMLInputElement || typed instanceof HTMLSelectElement) typed.value = text;
  }
  if (["date", "latitude", "longitude", "known", "keep"].some((name) => left.fields[name])) document.getElementById("more")?.setAttribute("open", "");
  await tray.restore(left.photos.map(({ blob, name }) => new File([blob], name, { type: blob.type })), left.photos);
  if (left.answer && !answer.childElementCount) {
    previews = left.photos.map(({ blob }) => URL.createObjectURL(blob));
    lay(left.answer);
    window.scrollTo(0, top ?? 0);
  }
  restoring = false;
}

async function take(files: Iterable<File>): Promise<void> {
  const taken = [...files];
  await tray.add(taken); // until then the field has them, so that the form can be sent
  emptyField(field, taken);
  void place.offer(taken);
}

function dropZone(): void {
  const zone = find("photos-field");
  const camera = make("input", { type: "file", accept: "image/*", capture: "environment", hidden: true, change: () => void take(camera.files ?? []) });
  const open = button(word("camera"), () => camera.click());
  open.classList.add("camera");
  field.after(make("p", { class: "drop-hint" }, word("dropHint")), open, camera);
  zone.append(tray.trouble, tray.list);
  zone.classList.add("drop-zone");
  field.addEventListener("change", () => void take([...(field.files ?? [])]));
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
    void take(event.dataTransfer?.files ?? []);
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) {
      event.preventDefault();
      void take(files);
    }
  });
}

function busy(is: boolean): void {
  submit.setAttribute("aria-disabled", String(is));
  progress.hidden = !is;
}

async function filled(keep: boolean): Promise<FormData> {
  const sent = new FormData(form);
  sent.delete("photos");
  const blobs = await tray.prepared();
  blobs.forEach((blob, number) => sent.append("photos", blob, `photo-${number + 1}.jpg`));
  const chosen = tray.photos.map((photo) => photo.aspect || photo.guessed);
  if (chosen.some(Boolean) && chosen.every(Boolean)) for (const aspect of chosen) sent.append("aspects", aspect);
  if (keep) sent.set("keep", "true");
  for (const old of previews) URL.revokeObjectURL(old);
  previews = blobs.map((blob) => URL.createObjectURL(blob));
  return sent;
}

async function ask(keep = false): Promise<void> {
  if (submit.getAttribute("aria-disabled") === "true") return;
  trouble.replaceChildren();
  busy(true);
  words.textContent = word("preparing");
  bar.removeAttribute("value");
  const reply = await send(form.action, await filled(keep), (share, said) => {
    if (share < 1) bar.value = share;
    else bar.removeAttribute("value");
    words.textContent = said;
  });
  show(reply);
  busy(false);
}

function show({ status, html }: Reply): void {
  if (status !== 200) {
    explain(trouble, { status, html });
    return;
  }
  lay(html);
  const title = document.getElementById("answer-title");
  title?.focus();
  title?.scrollIntoView({ block: "start" });
  void keepNow();
}

/** Show an answer, with the person's own photos in it. */
function lay(html: string): void {
  shown = html;
  answer.innerHTML = html;
  for (const own of answer.querySelectorAll<HTMLImageElement>("img[data-own]")) own.src = previews[Number(own.dataset["own"])] ?? "";
  performance.mark("answer-shown");
  readGuesses();
  offerMore();
  submit.textContent = word("rank");
}

function readGuesses(): void {
  const guessed = JSON.parse(answer.querySelector<HTMLElement>("[data-aspects]")?.dataset["aspects"] ?? "[]") as string[];
  tray.photos.forEach((photo, number) => (photo.guessed = guessed[number] && guessed[number] in aspects ? guessed[number] : ""));
  tray.retell();
}

function offerMore(): void {
  const actions = document.getElementById("answer-actions");
  const kept = actions?.querySelector<HTMLAnchorElement>(".kept a");
  if (kept) history.replaceState(point(), "", kept.href);
  else actions?.append(button(word("keep"), () => void ask(true)));
  const saving = document.getElementById("save-find");
  if (saving && tray.photos.length) saving.addEventListener("click", (event) => {
    event.preventDefault();
    void saveFind();
  });
}

/** Take the find along to the form of an observation, where its place can be obscured before anything is kept. */
async function saveFind(): Promise<void> {
  const typed = new FormData(form);
  const said = (name: string): string => String(typed.get(name) ?? "");
  const chosen = (name: string): string =>
    said(name) && (form.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.labels?.[0]?.textContent?.trim() ?? "");
  const fields = {
    eventDate: said("date"),
    decimalLatitude: said("latitude"),
    decimalLongitude: said("longitude"),
    flora: said("flora"),
    scientificName: said("known"),
    habitat: chosen("habitat"),
    substrate: chosen("substrate"),
  };
  const names = [...answer.querySelectorAll(".candidate h3 a i")].slice(0, 5).map((name) => name.textContent ?? "");
  try {
    await carry({ photos: await tray.prepared(), aspects: tray.photos.map((photo) => photo.aspect), fields, names });
  } finally {
    window.location.assign(url("save"));
  }
}

dropZone();
completeNames(find<HTMLInputElement>("known"));
compareOnClick(answer, (number) => previews[number] ?? answer.querySelectorAll<HTMLImageElement>(".previews img")[number]?.src ?? "");
form.addEventListener("submit", (event) => {
  if (!tray.photos.length) return; // the browser's own form, or its own complaint
  event.preventDefault();
  void ask();
});
form.addEventListener("change", keepSoon);
for (const link of document.querySelectorAll<HTMLAnchorElement>(".masthead a")) {
  if (link.pathname !== location.pathname) continue;
  link.addEventListener("click", () => {
    window.clearTimeout(waiting);
    const { find } = point();
    history.replaceState(null, ""); // whoever asks for this page from itself begins anew
    if (find) void forget(find);
  });
}
window.addEventListener("pagehide", () => {
  if (point().find) history.replaceState({ ...point(), top: window.scrollY }, "");
});
form.classList.add("enhanced");
void restore();
