// The way in: shows what a page needs, and asks for the token if the service has one.

import { field, make } from "./elements.js";
import { setToken } from "./service.js";

export async function askForToken(place, show) {
  const error = make("p", { class: "error", role: "alert", hidden: true });
  place.replaceChildren(error);
  try {
    await show();
    place.replaceChildren();
  } catch (problem) {
    error.hidden = false;
    error.textContent = problem.message;
    if (problem.status !== 401) return;
    error.textContent = "This service needs a token.";
    const input = make("input", { type: "password", autocomplete: "off" });
    const form = make("form", { class: "row" }, field("Token", input), make("button", { class: "main" }, "Enter"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      setToken(input.value.trim());
      askForToken(place, show);
    });
    place.append(form);
    input.focus();
  }
}
