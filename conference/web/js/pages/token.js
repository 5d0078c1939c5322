import { h, show } from "../ui/dom.js";
import { messagePage } from "../ui/frame.js";
import { complaintAbout, keepToken } from "../ui/identity.js";

/**
 * Asks for a token.
 * @param {() => void} proceed called once there is one
 * @param {string} [complaint] what is wrong with the one at hand
 */
export function tokenPage(proceed, complaint = "") {
  const problem = h("p", {
    class: "notice",
    id: "token-problem",
    role: "alert",
    hidden: !complaint,
  }, complaint);
  const input = h("input", {
    name: "token",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "token-problem",
    placeholder: "eyJhbGciOi…",
  });
  const submit = (event) => {
    event.preventDefault();
    const wrong = complaintAbout(input.value);
    problem.hidden = !wrong;
    problem.textContent = wrong;
    if (wrong) return input.focus();
    keepToken(input.value);
    proceed();
  };
  const form = h(
    "form",
    { class: "token-form", onsubmit: submit },
    h("label", {}, "Access token", input),
    problem,
    h("button", { class: "primary" }, "Continue"),
  );
  show(
    messagePage({
      emblem: "shield",
      title: "Who are you?",
      text: ["Open the personal link you were sent, or paste your access token here.", form],
    }),
  );
  input.focus();
}
