/** What somebody chose for the observation recorded last: kept on this device, and proposed for the next. */

export interface Choices {
  licence: string;
  obscured: boolean;
}

const KEY = "recorded";

/** Remember what was chosen. */
export function rememberChoices(choices: Choices): void {
  localStorage.setItem(KEY, JSON.stringify(choices));
}

/** What was chosen last; null where nothing was. */
export function lastChoices(): Choices | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "null") as Choices | null;
  } catch {
    return null;
  }
}
