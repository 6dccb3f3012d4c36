/** The photos of one find: shown, turned, boxed, named and removed. */
import { button, ICONS, make } from "./dom.ts";
import { type Box, decode, draw, isPhoto, toJpeg, WHOLE } from "./prepare.ts";
import { aspects, word } from "./words.ts";

export interface Photo {
  file: File;
  bitmap: ImageBitmap | null; // null: this browser cannot show it
  turns: number;
  box: Box;
  aspect: string; // chosen by the person; empty: not known
  guessed: string;
}

const PREVIEW = 480; // pixels

export class Tray {
  readonly photos: Photo[] = [];
  readonly list = make("ol", { class: "tray" });
  readonly trouble = make("p", { class: "tray-trouble", role: "alert", hidden: true });

  constructor(
    private readonly most: number,
    private readonly bytes: number,
    private readonly changed: () => void,
    private readonly openBox: (photo: Photo, done: () => void) => void,
  ) {}

  private adding: Promise<void> = Promise.resolve();

  /** Take files; those that are no photos are refused by name, and the others stay. What is added meanwhile comes after. */
  add(files: Iterable<File>, aspect = ""): Promise<void> {
    const taken = [...files];
    this.adding = this.adding.catch(() => undefined).then(() => this.addNow(taken, aspect));
    return this.adding;
  }

  /** Empty the tray. */
  clear(): void {
    this.photos.length = 0;
    this.say("");
    this.render();
  }

  private async addNow(files: readonly File[], aspect: string): Promise<void> {
    const refused: string[] = [];
    for (const file of files) {
      if (this.photos.length >= this.most) {
        refused.push(word("tooMany", { name: file.name, most: this.most }));
      } else if (!(await isPhoto(file))) {
        refused.push(word("noPhoto", { name: file.name }));
      } else {
        const bitmap = await decode(file);
        if (bitmap === null && file.size > this.bytes) refused.push(word("tooLarge", { name: file.name }));
        else this.photos.push({ file, bitmap, turns: 0, box: WHOLE, aspect, guessed: "" });
      }
    }
    this.say(refused.join(" "));
    this.render();
    this.changed();
  }

  /** Put photos back that were in the tray before, with what was said of them. */
  async restore(files: readonly File[], said: readonly { aspect: string; guessed: string }[]): Promise<void> {
    await this.add(files);
    this.photos.forEach((photo, place) => Object.assign(photo, { aspect: said[place]?.aspect ?? "", guessed: said[place]?.guessed ?? "" }));
    this.render();
  }

  /** Say what is wrong, beside the photos. */
  say(trouble: string): void {
    this.trouble.textContent = trouble;
    this.trouble.hidden = !trouble;
  }

  /** What is sent of each photo: pixels only, wherever this browser can read them. */
  async prepared(): Promise<Blob[]> {
    const made: Blob[] = [];
    for (const photo of this.photos) {
      made.push(photo.bitmap ? await toJpeg(draw(photo.bitmap, photo.turns, photo.box)) : photo.file);
    }
    return made;
  }

  render(): void {
    this.list.replaceChildren(...this.photos.map((photo, place) => this.tile(photo, place)));
    this.list.hidden = this.photos.length === 0;
  }

  /** What the person said that each photo shows, empty where nothing was said; an empty list where nothing was at all. */
  get aspects(): string[] {
    return this.photos.some(({ aspect }) => aspect) ? this.photos.map(({ aspect }) => aspect) : [];
  }

  /** Say anew what each photo is guessed to show, without drawing them again. */
  retell(): void {
    [...this.list.querySelectorAll("select")].forEach((choice, place) => {
      const first = choice.options[0];
      if (first) first.textContent = this.unsaid(this.photos[place]?.guessed ?? "");
    });
  }

  private unsaid(guessed: string): string {
    return guessed ? word("guess", { aspect: aspects[guessed] ?? "" }) : word("aspectUnknown");
  }

  private tile(photo: Photo, place: number): HTMLLIElement {
    const name = word("photoNumber", { number: place + 1 });
    const shown = make("div", { class: "tile-picture" });
    const paint = (): void => {
      if (!photo.bitmap) {
        shown.replaceChildren(make("p", { class: "tile-unseen" }, word("unseen", { name: photo.file.name })));
        return;
      }
      const canvas = draw(photo.bitmap, photo.turns, photo.box, PREVIEW);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${name}: ${photo.file.name}`);
      shown.replaceChildren(canvas);
    };
    paint();
    const tools = make("div", { class: "tile-tools" });
    if (photo.bitmap) {
      tools.append(
        button(`${word("rotate")}: ${name}`, () => {
          photo.turns = (photo.turns + 1) % 4;
          photo.box = { left: 1 - photo.box.top - photo.box.height, top: photo.box.left, width: photo.box.height, height: photo.box.width };
          paint();
          this.changed();
        }, ICONS.rotate, "tool"),
        button(`${word("box")}: ${name}`, () => {
          this.openBox(photo, () => {
            paint();
            this.changed();
          });
        }, ICONS.box, "tool"),
      );
    }
    tools.append(
      button(`${word("remove")}: ${name}`, () => {
        this.photos.splice(place, 1);
        this.render();
        this.changed();
        (this.list.querySelector("button") ?? document.getElementById("photos"))?.focus();
      }, ICONS.remove, "tool"),
    );
    const choice = make("select", { "aria-label": `${word("aspect")}: ${name}` });
    choice.append(make("option", { value: "" }, this.unsaid(photo.guessed)));
    for (const [aspect, words] of Object.entries(aspects)) choice.append(make("option", { value: aspect }, words));
    choice.value = photo.aspect;
    choice.addEventListener("change", () => {
      photo.aspect = choice.value;
      this.changed();
    });
    return make("li", { class: "tile" }, shown, make("span", { class: "tile-number", "aria-hidden": "true" }, String(place + 1)), tools, choice);
  }
}
