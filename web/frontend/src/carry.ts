/** What is kept between pages on this device alone: a find to be recorded, and one that somebody may come back to. */

export interface Carried {
  photos: Blob[];
  aspects: string[]; // of each photo, as chosen; empty: not known
  fields: Record<string, string>; // by the names of the form's fields
  names: string[]; // that the engine put first
  made: number; // milliseconds since 1970
}

/** An identification as it stands: whoever goes Back to it, or loads the page anew, finds it again. */
export interface Left {
  photos: { blob: Blob; name: string; aspect: string; guessed: string }[]; // pixels only, wherever the browser reads them
  fields: Record<string, string>;
  answer: string; // as the server laid it out; empty before there is one
  asked: Blob[]; // the photos that the answer is about: since then others may have come
  kept: string; // the name of the answer's share link; empty: none
  language: string; // of the answer
  made: number;
}

const KEY = "find";
const LEFT = "left:"; // and the id that the history keeps, so that two tabs have two
const FRESH = 3_600_000; // milliseconds: what nobody came for is forgotten

function shelf(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("fungarium", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("carried");
    opening.onsuccess = () => {
      try {
        resolve(opening.result.transaction("carried", mode).objectStore("carried"));
      } catch (error) {
        reject(error as Error); // a store of another making; without this the page would wait for ever
      }
    };
    opening.onerror = () => reject(opening.error ?? new Error("nothing can be kept here"));
  });
}

/** Lay a find aside for the next page. */
export async function carry(find: Omit<Carried, "made">): Promise<void> {
  await lay(KEY, { ...find, made: Date.now() });
}

async function lay(key: string, find: Carried | Left): Promise<void> {
  const store = await shelf("readwrite");
  store.put(find, key);
  await new Promise<void>((resolve, reject) => {
    store.transaction.oncomplete = () => resolve();
    store.transaction.onerror = () => reject(store.transaction.error ?? new Error("nothing can be kept here"));
  });
}

/** Take up what was laid aside; it is gone from there afterwards. Null where there is nothing. */
export async function takeUp(): Promise<Carried | null> {
  try {
    const store = await shelf("readwrite");
    const asked = store.get(KEY) as IDBRequest<Carried | undefined>;
    return await new Promise((resolve) => {
      asked.onsuccess = () => {
        store.delete(KEY);
        const found = asked.result;
        resolve(found && Date.now() - found.made < FRESH ? found : null);
      };
      asked.onerror = () => resolve(null);
    });
  } catch {
    return null;
  }
}

/** Keep an identification for whoever comes back to it; where nothing can be kept, nothing is. */
export async function leave(id: string, find: Omit<Left, "made">): Promise<void> {
  try {
    await lay(LEFT + id, { ...find, made: Date.now() });
  } catch {
    // a private window, or a full disk: the page works as it would without
  }
}

/** What was left under an id, if it is fresh; what is not is forgotten with it, whoever left it. */
export async function comeBack(id: string): Promise<Left | null> {
  try {
    const store = await shelf("readwrite");
    return await new Promise((resolve) => {
      let found: Left | null = null;
      const walk = store.openCursor(IDBKeyRange.bound(LEFT, LEFT + "\uffff"));
      walk.onsuccess = () => {
        const at = walk.result;
        if (!at) return resolve(found);
        const left = at.value as Left;
        if (Date.now() - left.made >= FRESH) at.delete();
        else if (at.key === LEFT + id) found = left;
        at.continue();
      };
      walk.onerror = () => resolve(null);
    });
  } catch {
    return null;
  }
}

const HANDED = "handed"; // in the storage of this tab

/** Let the next page of this tab take up what was left under an id: whoever signs in or reads on in another language. */
export function handOn(id: string): void {
  sessionStorage.setItem(HANDED, `${id} ${Date.now()}`);
}

/** The id that the page before handed on, once. */
export function handed(): string | undefined {
  const [id, made] = (sessionStorage.getItem(HANDED) ?? "").split(" ");
  sessionStorage.removeItem(HANDED);
  return id && Date.now() - Number(made) < FRESH ? id : undefined;
}

/** Forget what was left under an id. */
export async function forget(id: string): Promise<void> {
  try {
    (await shelf("readwrite")).delete(LEFT + id);
  } catch {
    // there was nothing
  }
}
