/** The form of an observation: photos in a tray, the place on a map, names completed, nothing lost when it is refused. */
import { boxPhoto } from "../box.ts";
import { carry, takeUp } from "../carry.ts";
import { button, emptyField, find, make, openForInvalid } from "../dom.ts";
import { completeNames } from "../known.ts";
import { nameOffer, offerNames } from "../offers.ts";
import { Place } from "../place.ts";
import { rememberChoices } from "../choices.ts";
import { explain, followingPage, send } from "../send.ts";
import { Tray } from "../tray.ts";
import { url, word } from "../words.ts";

const form = find<HTMLFormElement>("ask");
const place = new Place();
openForInvalid(form);

function startNew(): void {
  const field = find<HTMLInputElement>("photos");
  const submit = find<HTMLButtonElement>("save");
  const progress = find("progress");
  const bar = find<HTMLProgressElement>("progress-bar");
  const name = find<HTMLInputElement>("name");
  const needed = field.required;
  let sending: AbortController | null = null;
  const tray = new Tray(
    Number(form.dataset["photos"]),
    Number(form.dataset["bytes"]),
    () => (field.required = needed && tray.photos.length === 0),
    boxPhoto,
  );

  async function take(files: Iterable<File>, ask = true): Promise<void> {
    const taken = [...files];
    await tray.add(taken);
    emptyField(field, taken);
    if (ask) void place.offer(taken);
  }

  async function save(): Promise<void> {
    if (submit.getAttribute("aria-disabled") === "true") return;
    find("trouble").replaceChildren();
    submit.setAttribute("aria-disabled", "true");
    progress.hidden = false;
    find("progress-words").textContent = word("preparing");
    const filled = new FormData(form);
    filled.delete("photos");
    (await tray.prepared()).forEach((blob, number) => filled.append("photos", blob, `photo-${number + 1}.jpg`));
    for (const aspect of tray.aspects) filled.append("aspects", aspect);
    sending = new AbortController();
    const reply = await send(form.action || window.location.href, filled, (share, said) => {
      if (share < 1) bar.value = share;
      else bar.removeAttribute("value");
      find("progress-words").textContent = said;
    }, sending.signal);
    submit.setAttribute("aria-disabled", "false");
    progress.hidden = true;
    const following = followingPage(reply);
    if (following) {
      rememberChoices({ licence: String(filled.get("licence") ?? ""), obscured: filled.has("obscured") });
      window.location.assign(following);
    }
    else explain(find("trouble"), reply);
    if (reply.status === 401) offerSignIn();
  }

  /** Let whoever was signed out meanwhile sign in and go on with the same photos and words. */
  function offerSignIn(): void {
    const on = button(word("signIn"), () => void keepAndSignIn(), "", "main");
    find("trouble").append(on);
    on.focus();
  }

  async function keepAndSignIn(): Promise<void> {
    const fields = Object.fromEntries(
      [...new FormData(form)].filter((typed): typed is [string, string] => typeof typed[1] === "string" && typed[0] !== "csrf_token"),
    );
    const names = [...document.querySelectorAll<HTMLButtonElement>("#offers .name-offer")].map((offer) => offer.dataset["name"] ?? "");
    await carry({ photos: await tray.prepared(), aspects: tray.photos.map((photo) => photo.aspect), fields, names });
    window.location.assign(url("signIn"));
  }

  async function carried(): Promise<void> {
    if (!new URLSearchParams(window.location.search).has("carried")) return;
    const found = await takeUp();
    if (!found) return;
    const files = found.photos.map((blob, number) => new File([blob], `photo-${number + 1}.jpg`, { type: "image/jpeg" }));
    await tray.restore(files, (found.aspects ?? []).map((aspect) => ({ aspect, guessed: "" })));
    field.value = "";
    for (const [named, value] of Object.entries(found.fields)) {
      const input = form.elements.namedItem(named);
      if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = Boolean(value);
      else if (value && (input instanceof HTMLInputElement || input instanceof HTMLSelectElement || input instanceof HTMLTextAreaElement)) input.value = value;
    }
    find("offers").replaceChildren(...found.names.flatMap((each) => [nameOffer(each), " "]));
    offerNames(name);
    form.before(make("p", { class: "done", role: "status" }, word("carried")));
  }

  find("photos-field").append(tray.trouble, tray.list);
  find("photos-field").classList.add("drop-zone");
  find("read-metadata").remove(); // asked for photo by photo instead, and nothing of them is sent but pixels
  field.addEventListener("change", () => void take([...(field.files ?? [])]));
  completeNames(name);
  offerNames(name);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void save();
  });
  progress.append(button(word("back"), () => sending?.abort()));
  if (field.files?.length) void take([...field.files]); // chosen before this script was there
  void carried().finally(() => form.classList.add("enhanced"));
}

if (!form.dataset["edit"]) startNew();
