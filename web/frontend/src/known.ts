/** Completion of a name that is being typed. */
import { make } from "./dom.ts";
import { url } from "./words.ts";

interface Taxon {
  scientificName: string;
  taxonRank: string;
  vernacularNames: { vernacularName: string }[];
}

const PAUSE = 150; // milliseconds without a key before the server is asked

/** Offer names of taxa for a field. */
export function completeNames(field: HTMLInputElement): void {
  const offers = make("datalist", { id: `${field.id}-names` });
  field.setAttribute("list", offers.id);
  field.after(offers);
  let waiting = 0;
  let asked = "";
  field.addEventListener("input", () => {
    window.clearTimeout(waiting);
    const typed = field.value.trim();
    if (typed.length < 2 || [...offers.options].some((option) => option.value === field.value)) return;
    waiting = window.setTimeout(() => {
      asked = typed;
      void fetch(`${url("taxa")}?limit=12&q=${encodeURIComponent(typed)}`)
        .then((reply) => (reply.ok ? (reply.json() as Promise<{ taxa: Taxon[] }>) : { taxa: [] }))
        .then(({ taxa }) => {
          if (asked !== typed) return;
          offers.replaceChildren(
            ...taxa.map((taxon) =>
              make("option", { value: taxon.scientificName }, [taxon.taxonRank, taxon.vernacularNames[0]?.vernacularName].filter(Boolean).join(", ")),
            ),
          );
        })
        .catch(() => undefined); // without a connection there is nothing to offer
    }, PAUSE);
  });
}
