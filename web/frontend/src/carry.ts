/** What is carried from one page to the next on this device alone: the photos of an identification, to be recorded. */

export interface Carried {
  photos: Blob[];
  fields: Record<string, string>; // by the names of the form's fields
  names: string[]; // that the engine put first
  made: number; // milliseconds since 1970
}

const KEY = "find";
const FRESH = 3_600_000; // milliseconds: what nobody came for is forgotten

function shelf(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("fungarium", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("carried");
    opening.onsuccess = () => resolve(opening.result.transaction("carried", mode).objectStore("carried"));
    opening.onerror = () => reject(opening.error ?? new Error("nothing can be kept here"));
  });
}

/** Lay a find aside for the next page. */
export async function carry(find: Omit<Carried, "made">): Promise<void> {
  const store = await shelf("readwrite");
  store.put({ ...find, made: Date.now() }, KEY);
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
