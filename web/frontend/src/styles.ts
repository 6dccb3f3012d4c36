/** Styles that only some pages need, loaded when they do. */
import { make } from "./dom.ts";

/** Load a stylesheet once; resolves when it applies. */
export function asStylesheet(address: string): Promise<void> {
  if (!address || document.querySelector(`link[href="${address}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    document.head.append(make("link", { rel: "stylesheet", href: address, load: () => resolve(), error: () => resolve() }));
  });
}
