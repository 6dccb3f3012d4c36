/** The first page: makes the plain form pleasant. Without it, the form works as it is. */
import { boxPhoto } from "../box.ts";
import { openDrops } from "../capture.ts";
import { compare } from "../compare.ts";
import { lastChoices } from "../choices.ts";
import { carry, comeBack, forget, handed, handOn, type Left, leave } from "../carry.ts";
import { askWhether } from "../question.ts";
import { button, emptyField, find, make, openForInvalid } from "../dom.ts";
import { enlargeOnClick, shownInAnswer } from "../enlarge.ts";
import { sendFeedback } from "../feedback.ts";
import { completeNames } from "../known.ts";
import { Place } from "../place.ts";
import { explain, followingPage, type Reply, send } from "../send.ts";
import { Tray } from "../tray.ts";
import { aspects, url, word } from "../words.ts";

const REGION = "region"; // that was chosen last, on this device

const form = find<HTMLFormElement>("ask");
const field = find<HTMLInputElement>("photos");
const answer = find("answer");
const trouble = find("trouble");
const submit = find<HTMLButtonElement>("rank");
const progress = find("progress");
const bar = find<HTMLProgressElement>("progress-bar");
const words = find("progress-words");
const flora = find<HTMLSelectElement>("flora");

const place = new Place();
const tray = new Tray(Number(form.dataset["photos"]), Number(form.dataset["bytes"]), photosChanged, boxPhoto);
let asked: Blob[] = []; // the photos that the shown answer is about
let previews: string[] = []; // their addresses
let restoring = false;
let shown = ""; // the answer, as the server laid it out
let waiting = 0; // the timer of what is still to be kept
let current = point().find; // the id that photos, form and answer are kept under
let recordId = ""; // of the observation that this answer becomes: saved twice, it is one
let sending: AbortController | null = null;

function photosChanged(): void {
  field.required = tray.photos.length === 0;
  submit.textContent = word(shown ? "askAgain" : "rank");
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

/** The name of the share link of the answer in the page; empty where it has none. */
function keptName(): string {
  return answer.querySelector<HTMLElement>("[data-kept]")?.dataset["kept"] ?? "";
}

/** Keep photos, form and answer on this device, a moment after the last change: for Back, and for loading anew. */
function keepSoon(): void {
  if (restoring) return;
  window.clearTimeout(waiting);
  waiting = window.setTimeout(() => void keepNow(), 400);
}

async function keepNow(): Promise<void> {
  window.clearTimeout(waiting);
  if (!tray.photos.length) return current ? forget(current) : undefined;
  current ??= `${Date.now()}-${Math.random()}`;
  history.replaceState({ ...point(), find: current }, "");
  const blobs = await tray.prepared();
  const photos = tray.photos.flatMap(({ file, aspect, guessed }, number) => {
    const blob = blobs[number];
    return blob ? [{ blob, name: file.name, aspect, guessed }] : [];
  });
  const fields = Object.fromEntries([...new FormData(form)].filter((typed): typed is [string, string] => typeof typed[1] === "string"));
  await leave(current, { photos, fields, answer: shown, asked, kept: keptName(), language: document.documentElement.lang });
}

/** Put back what stood here before somebody went on from this page, or loaded it anew. */
async function restore(): Promise<void> {
  current ??= handed();
  const left = current ? await comeBack(current) : null;
  // A shared answer is never shown with the photos of another find.
  if (!left || tray.photos.length || left.kept !== keptName()) return;
  history.replaceState({ ...point(), find: current }, "");
  restoring = true;
  fillIn(left.fields);
  await tray.restore(left.photos.map(({ blob, name }) => new File([blob], name, { type: blob.type })), left.photos);
  if (left.answer && left.language === document.documentElement.lang) {
    asked = left.asked;
    if (!keptName()) lay(left.answer);
    window.scrollTo(0, point().top ?? 0);
  }
  restoring = false;
  announce();
  if (left.answer && !shown && !keptName()) void ask(); // in the language that is read now
}

function fillIn(fields: Left["fields"]): void {
  for (const [name, text] of Object.entries(fields)) {
    const typed = form.elements.namedItem(name);
    if (typed instanceof HTMLInputElement && typed.type === "checkbox") typed.checked = true;
    else if (typed instanceof HTMLInputElement || typed instanceof HTMLSelectElement || typed instanceof RadioNodeList) typed.value = text;
  }
  if (["date", "latitude", "longitude", "habitat", "substrate", "known", "keep"].some((name) => fields[name])) openMore();
}

function openMore(): void {
  find<HTMLDetailsElement>("more").open = true;
}

/** Say that photos of an earlier visit are here, and offer to begin without them. */
function announce(): void {
  const said = make("p", { class: "done restored", role: "status" }, `${word("restored")} `, button(word("discard"), () => {
    startAnew();
    submit.focus();
  }));
  answer.before(said);
}

/** Begin with another find: no photo and no answer of the one before stays. */
function startAnew(): void {
  window.clearTimeout(waiting);
  document.querySelector(".restored")?.remove();
  if (current) void forget(current);
  current = undefined;
  history.replaceState(null, "", form.action);
  tray.clear();
  answer.replaceChildren();
  trouble.replaceChildren();
  for (const old of previews) URL.revokeObjectURL(old);
  [asked, previews, shown] = [[], [], ""];
  photosChanged();
}

/** Take photos; where an answer is shown, they may be of another find, and whoever picks them says so. */
async function take(files: Iterable<File>, { aspect = "", same = false } = {}): Promise<void> {
  const taken = [...files];
  if (!taken.length) return;
  if (!same && shown && !restoring) {
    const choice = await askWhether(word("whoseTitle"), word("whose"), { same: word("sameFind"), other: word("otherFind"), "": word("back") });
    if (choice === "other") startAnew();
    if (!choice) return emptyField(field, taken);
  }
  await tray.add(taken, aspect); // until then the field has them, so that the form can be sent
  emptyField(field, taken);
  if (same) tray.list.scrollIntoView({ block: "center" });
  void place.offer(taken);
}

function busy(is: boolean): void {
  submit.setAttribute("aria-disabled", String(is));
  progress.hidden = !is;
}

async function filled(keep: boolean): Promise<FormData> {
  const sent = new FormData(form);
  sent.delete("photos");
  asked = await tray.prepared();
  asked.forEach((blob, number) => sent.append("photos", blob, `photo-${number + 1}.jpg`));
  for (const aspect of tray.aspects) sent.append("aspects", aspect);
  if (keep) sent.set("keep", "true");
  return sent;
}

async function ask(keep = false): Promise<void> {
  if (submit.getAttribute("aria-disabled") === "true") return;
  trouble.replaceChildren();
  busy(true);
  words.textContent = word("preparing");
  bar.removeAttribute("value");
  sending = new AbortController();
  const before = asked;
  const reply = await send(form.action, await filled(keep), (share, said) => {
    if (share < 1) bar.value = share;
    else bar.removeAttribute("value");
    words.textContent = said;
  }, sending.signal);
  busy(false);
  if (reply.status !== 200) asked = before; // the answer in the page is still the one before
  show(reply);
}

function show({ status, html, ...rest }: Reply): void {
  if (status !== 200) {
    if (status === 400 || status === 422) openMore();
    explain(trouble, { status, html, ...rest });
    return;
  }
  document.querySelector(".restored")?.remove();
  lay(html);
  const title = document.getElementById("answer-title");
  title?.focus();
  answer.scrollIntoView({ block: "start" });
  void keepNow();
}

/** Show an answer, with the photos that it is about in it. */
function lay(html: string): void {
  shown = html;
  answer.innerHTML = html;
  for (const old of previews) URL.revokeObjectURL(old);
  previews = asked.map((blob) => URL.createObjectURL(blob));
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
  const kept = answer.querySelector<HTMLAnchorElement>(".kept a");
  history.replaceState(point(), "", kept?.href ?? form.action);
  const saving = document.getElementById("save-find");
  if (!kept) saving?.after(button(word("keep"), () => void ask(true)));
  saving?.addEventListener("click", (event) => {
    event.preventDefault();
    void saveAtOnce();
  });
  if (form.dataset["token"]) saving?.after(button(word("saveInForm"), () => void saveInForm()));
  recordId = crypto.randomUUID?.() ?? "";
  const more = make("input", { type: "file", accept: "image/*", multiple: true, hidden: true, change: () => void take(more.files ?? [], { same: true }) });
  document.getElementById("answer-tools")?.append(button(word("addPhotos"), () => more.click()), more);
  document.getElementById("search-all")?.addEventListener("click", (event) => {
    event.preventDefault();
    flora.value = "world";
    void ask();
  });
}

/** What the form of an observation is filled with. */
function observationFields(): Record<string, string> {
  const typed = new FormData(form);
  const said = (name: string): string => String(typed.get(name) ?? "");
  const chosen = (name: string): string =>
    said(name) && (form.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.labels?.[0]?.textContent?.trim() ?? "");
  return {
    eventDate: said("date"),
    decimalLatitude: said("latitude"),
    decimalLongitude: said("longitude"),
    flora: said("flora"),
    scientificName: said("known"),
    habitat: chosen("habitat"),
    substrate: chosen("substrate"),
  };
}

/**
 * Save the find at once where somebody is signed in, with the name of the answer as probable, and the licence chosen
 * last. A place is published at once only after it was chosen before whether to obscure it.
 */
async function saveAtOnce(): Promise<void> {
  const token = form.dataset["token"];
  const fields = observationFields();
  const last = lastChoices();
  if (!token || (fields["decimalLatitude"] && !last)) return saveInForm();
  const sent = new FormData();
  const named = fields["scientificName"] || answer.querySelector<HTMLElement>("[data-named]")?.dataset["named"] || "";
  const rest = { csrf_token: token, id: recordId, certainty: "probable", licence: last?.licence ?? "" };
  for (const [name, value] of Object.entries({ ...fields, ...rest, scientificName: named })) if (value) sent.set(name, value);
  if (last?.obscured && fields["decimalLatitude"]) sent.set("obscured", "true");
  busy(true);
  trouble.replaceChildren();
  (await tray.prepared()).forEach((blob, number) => sent.append("photos", blob, `photo-${number + 1}.jpg`));
  for (const aspect of tray.aspects) sent.append("aspects", aspect);
  sending = new AbortController();
  const reply = await send(url("record"), sent, (share, said) => {
    if (share < 1) bar.value = share;
    else bar.removeAttribute("value");
    words.textContent = said;
  }, sending.signal);
  busy(false);
  const following = followingPage(reply);
  if (following) return window.location.assign(following);
  if (reply.status === 401 || reply.status === 422) return saveInForm(); // to sign in, or to correct something
  explain(trouble, reply);
}

/** Take the find along to the form of an observation, where its place can be obscured before anything is kept. */
async function saveInForm(): Promise<void> {
  const fields = observationFields();
  const names = [...answer.querySelectorAll(".candidate h3 > i")].slice(0, 5).map((name) => name.textContent ?? "");
  try {
    await carry({ photos: await tray.prepared(), aspects: tray.photos.map((photo) => photo.aspect), fields, names });
  } finally {
    window.location.assign(url("save"));
  }
}

/** Keep what is here for the page after the next: signing in, or another language. */
async function goOn(leaveBy: () => void): Promise<void> {
  try {
    await keepNow();
    if (current && tray.photos.length) handOn(current);
  } finally {
    leaveBy();
  }
}

function keepOverOtherPages(): void {
  for (const signIn of document.querySelectorAll<HTMLAnchorElement>("a[href*='/sign-in']")) {
    signIn.addEventListener("click", (event) => {
      if (!tray.photos.length || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      void goOn(() => window.location.assign(signIn.href));
    });
  }
  const languages = document.querySelector<HTMLFormElement>("form.languages");
  languages?.addEventListener("submit", (event) => {
    if (!tray.photos.length || languages.dataset["kept"]) return;
    event.preventDefault();
    languages.dataset["kept"] = "yes";
    void goOn(() => languages.requestSubmit(event.submitter));
  });
}

function rememberRegion(): void {
  const last = localStorage.getItem(REGION);
  const said = new URLSearchParams(location.search).has("flora") || [...flora.options].some((option) => option.defaultSelected && option.value !== "world");
  if (last && !said && [...flora.options].some((option) => option.value === last)) flora.value = last;
  flora.addEventListener("change", () => localStorage.setItem(REGION, flora.value));
}

rememberRegion();
openDrops(field, find("photos-field"), tray, (files, aspect) => void take(files, { aspect }));
progress.append(button(word("back"), () => sending?.abort()));
openForInvalid(form);
sendFeedback(answer, trouble);
completeNames(find<HTMLInputElement>("known"));
enlargeOnClick(compare, (link) => shownInAnswer(link, (number) => previews[number] ?? answer.querySelector<HTMLImageElement>(`#own-${number + 1} img`)?.src ?? ""), answer);
form.addEventListener("submit", (event) => {
  if (!tray.photos.length) return; // the browser's own form, or its own complaint
  event.preventDefault();
  void ask();
});
form.addEventListener("change", keepSoon);
document.addEventListener("click", (event) => {
  const link = (event.target as Element).closest<HTMLAnchorElement>(".masthead a, #new-find");
  if (!link || link.pathname !== new URL(form.action).pathname || link.pathname !== location.pathname) return;
  window.clearTimeout(waiting); // whoever asks for this page from itself begins anew
  history.replaceState(null, "");
  if (current) void forget(current);
});
window.addEventListener("popstate", () => {
  const { find } = point();
  if (find && find !== current) window.location.reload();
});
window.addEventListener("pagehide", () => {
  if (point().find) history.replaceState({ ...point(), top: window.scrollY }, "");
});
keepOverOtherPages();
form.classList.add("enhanced");
if (field.files?.length) void take([...field.files]); // chosen before this script was there
else void restore();
