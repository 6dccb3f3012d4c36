/** The first page: makes the plain form pleasant. Without it, the form works as it is. */
import { boxPhoto } from "../box.ts";
import { compareOnClick } from "../compare.ts";
import { carry } from "../carry.ts";
import { button, find, make } from "../dom.ts";
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
let stale = false; // whether what is shown is no longer the answer to what is in the tray

function photosChanged(): void {
  field.required = tray.photos.length === 0;
  submit.textContent = answer.childElementCount && stale ? word("askAgain") : word("rank");
  stale = true;
}

async function take(files: Iterable<File>): Promise<void> {
  const taken = [...files];
  await tray.add(taken);
  field.value = "";
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
  answer.innerHTML = html;
  for (const own of answer.querySelectorAll<HTMLImageElement>("img[data-own]")) own.src = previews[Number(own.dataset["own"])] ?? "";
  performance.mark("answer-shown");
  stale = false;
  readGuesses();
  offerMore();
  submit.textContent = word("rank");
  const title = document.getElementById("answer-title");
  title?.focus();
  title?.scrollIntoView({ block: "start" });
}

function readGuesses(): void {
  const guessed = JSON.parse(answer.querySelector<HTMLElement>("[data-aspects]")?.dataset["aspects"] ?? "[]") as string[];
  tray.photos.forEach((photo, number) => (photo.guessed = guessed[number] && guessed[number] in aspects ? guessed[number] : ""));
  tray.retell();
}

function offerMore(): void {
  const actions = document.getElementById("answer-actions");
  const kept = actions?.querySelector<HTMLAnchorElement>(".kept a");
  if (kept) history.replaceState(null, "", kept.href);
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
  const fields = { eventDate: said("date"), decimalLatitude: said("latitude"), decimalLongitude: said("longitude"), flora: said("flora") };
  const names = [...answer.querySelectorAll(".candidate h3 a i")].slice(0, 5).map((name) => name.textContent ?? "");
  try {
    await carry({ photos: await tray.prepared(), fields, names });
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
form.classList.add("enhanced");
