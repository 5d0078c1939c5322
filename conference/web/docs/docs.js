import { example, objectBehind, resolve, typeName, variants } from "./schema.js";

/** Draws /openapi.json: a list of operations, a card for each, and a form to try it. No outside request. */

const TOKEN = "parley.token"; // the web client keeps it under the same name
const VERBS = ["get", "post", "put", "delete", "options"];
const FORM = "application/x-www-form-urlencoded";

function element(tag, properties = {}, ...children) {
  const { class: classes, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  if (classes) made.className = classes;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A paragraph in which what stands between backticks is code. */
function prose(text, properties = {}) {
  const parts = text.split(/`([^`]+)`/);
  return element("p", properties, ...parts.map((part, index) =>
    index % 2 ? element("code", { textContent: part }) : part));
}

// --- the token -----------------------------------------------------------------------------

function claimsOf(token) {
  try {
    const middle = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(middle), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

function watchToken() {
  const field = document.querySelector("#token");
  const who = document.querySelector("#who");
  const show = () => {
    const claims = claimsOf(field.value);
    who.textContent = field.value ? (claims ? (claims.name ?? claims.sub) : "not a token") : "";
  };
  field.form.addEventListener("submit", (event) => event.preventDefault());
  field.value = sessionStorage.getItem(TOKEN) ?? "";
  field.addEventListener("input", () => {
    if (field.value) sessionStorage.setItem(TOKEN, field.value.trim());
    else sessionStorage.removeItem(TOKEN);
    show();
  });
  show();
}

// --- schemas -------------------------------------------------------------------------------

function fields(spec, schema, depth = 0) {
  const object = objectBehind(spec, schema);
  if (!object) return null;
  const needed = new Set(object.required ?? []);
  const list = element("div");
  for (const [name, property] of Object.entries(object.properties)) {
    list.append(field(spec, name, property, needed.has(name), depth));
  }
  return list;
}

function field(spec, name, schema, needed, depth) {
  const plain = resolve(spec, schema);
  const row = element(
    "div",
    { class: "field" },
    element("span", { class: "name", textContent: name }),
    element("span", { class: "type", textContent: typeName(spec, schema) }),
    needed ? element("span", { class: "needed", textContent: "required" }) : null,
  );
  const text = schema.description ?? (objectBehind(spec, schema) ? null : plain.description);
  if (text) row.append(prose(text));
  const nested = depth < 3 ? fields(spec, schema, depth + 1) : null;
  if (nested) row.append(disclosure("nested", "fields", nested));
  for (const variant of depth < 1 ? variants(spec, eventsIn(spec, schema)) : []) {
    row.append(disclosure("nested", typeName(spec, variant), fields(spec, variant, 2)));
  }
  return row;
}

function eventsIn(spec, schema) {
  const plain = resolve(spec, schema);
  return plain.type === "array" ? plain.items : schema;
}

function disclosure(kind, title, content) {
  return element("details", { class: kind }, element("summary", { textContent: title }), content);
}

function describedSchema(spec, schema) {
  const plain = resolve(spec, schema);
  const text = schema.$ref ? plain.description : null;
  return element(
    "div",
    {},
    text ? prose(text, { class: "muted" }) : null,
    fields(spec, schema) ?? element("code", { textContent: typeName(spec, schema) }),
  );
}

// --- an operation --------------------------------------------------------------------------

function card(spec, path, verb, operation) {
  const summary = element(
    "summary",
    {},
    element("span", { class: `verb ${verb}`, textContent: verb.toUpperCase() }),
    element("span", { class: "path", textContent: path }),
    element("span", { class: "what", textContent: operation.summary }),
    operation.security?.length === 0 ? element("span", { class: "lock", textContent: "public" }) : null,
  );
  const box = element("details", { class: "card", id: operation.operationId }, summary);
  box.addEventListener("toggle", () => {
    if (box.open && box.children.length === 1) box.append(inside(spec, path, verb, operation));
  });
  return box;
}

function inside(spec, path, verb, operation) {
  const left = element("div", {}, ...request(spec, operation), ...responses(spec, operation));
  const right = element("div", { class: "try" }, element("h3", { textContent: "Try it" }));
  right.append(tryForm(spec, path, verb, operation));
  const text = operation.description;
  return element(
    "div",
    { class: "inside" },
    text ? prose(text) : null,
    left,
    right,
  );
}

function request(spec, operation) {
  const parts = [];
  if (operation.parameters?.length) {
    const rows = operation.parameters.map((each) => {
      const row = field(spec, each.name, each.schema, each.required, 3);
      row.append(prose([`in ${each.in}`, each.description].filter(Boolean).join(": ")));
      return row;
    });
    parts.push(element("h3", { textContent: "Parameters" }), element("div", {}, ...rows));
  }
  const schema = bodySchema(operation);
  if (schema) parts.push(element("h3", { textContent: "Body" }), describedSchema(spec, schema));
  return parts;
}

function bodySchema(operation) {
  const type = bodyType(operation);
  return type && operation.requestBody.content[type].schema;
}

function bodyType(operation) {
  return Object.keys(operation.requestBody?.content ?? {})[0];
}

/** What is written here is JSON; some bodies are sent as forms. */
function encoded(type, text) {
  return type === FORM ? new URLSearchParams(JSON.parse(text)).toString() : text;
}

function responses(spec, operation) {
  const rows = Object.entries(operation.responses).map(([status, response]) => {
    const schema = Object.values(response.content ?? {})[0]?.schema;
    const shown = schema && status < 300
      ? disclosure("body", typeName(spec, schema), describedSchema(spec, schema))
      : null;
    return element(
      "div",
      { class: "response" },
      element("span", { class: status < 300 ? "status ok" : "status", textContent: status }),
      element("div", {}, prose(response.description), shown),
    );
  });
  return [element("h3", { textContent: "Responses" }), element("div", {}, ...rows)];
}

// --- trying it -----------------------------------------------------------------------------

function tryForm(spec, path, verb, operation) {
  const form = element("form");
  const inputs = new Map();
  for (const parameter of operation.parameters ?? []) {
    const input = element("input", { name: parameter.name, required: parameter.required });
    input.value = sessionStorage.getItem(`parley.docs.${parameter.name}`) ?? "";
    inputs.set(parameter, input);
    form.append(element("label", {}, `${parameter.name} (${parameter.in})`, input));
  }
  const schema = bodySchema(operation);
  let body = null;
  if (schema) {
    body = element("textarea", { rows: 6, spellcheck: false });
    body.value = JSON.stringify(example(spec, schema), null, 2);
    form.append(element("label", {}, "body", body));
  }
  const send = element("button", { textContent: "Send" });
  const verdict = element("span", { class: "status" });
  const output = element("pre", { class: "hidden", tabIndex: 0 });
  form.append(element("div", { class: "actions" }, send, verdict), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    await attempt(path, verb, inputs, body, bodyType(operation), verdict, output);
    send.disabled = false;
  });
  return form;
}

async function attempt(path, verb, inputs, body, type, verdict, output) {
  const headers = {};
  const query = new URLSearchParams();
  let address = path;
  for (const [parameter, input] of inputs) {
    const value = input.value.trim();
    if (!value) continue;
    sessionStorage.setItem(`parley.docs.${parameter.name}`, value);
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (parameter.in === "query") query.set(parameter.name, value);
    else headers[parameter.name] = value;
  }
  const token = document.querySelector("#token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = type;
  if (query.size) address += `?${query}`;
  output.classList.remove("hidden");
  verdict.className = "status";
  verdict.textContent = "…";
  output.textContent = "";
  try {
    const begun = performance.now();
    const sent = body ? encoded(type, body.value) : undefined;
    const response = await fetch(address, { method: verb.toUpperCase(), headers, body: sent });
    const text = await response.text();
    verdict.textContent = `${response.status} · ${Math.round(performance.now() - begun)} ms`;
    if (response.ok) verdict.classList.add("ok");
    output.textContent = pretty(text) || "(no body)";
  } catch (error) {
    verdict.textContent = "failed";
    output.textContent = String(error);
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// --- the page ------------------------------------------------------------------------------

function operationsByTag(spec) {
  const groups = new Map(spec.tags.map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const verb of VERBS) {
      const operation = item[verb];
      if (operation) groups.get(operation.tags[0]).push({ path, verb, operation });
    }
  }
  return groups;
}

function draw(spec) {
  const main = document.querySelector("#main");
  const contents = document.querySelector("#contents");
  main.replaceChildren(
    element("h1", { textContent: `${spec.info.title} ${spec.info.version}` }),
    ...spec.info.description
      .split(/\n\n+/)
      .map((text) => prose(text.replaceAll("\n", " "), { class: "intro" })),
    element("p", { class: "muted" }, element("a", { href: "/openapi.json", textContent: "/openapi.json" }), " · OpenAPI 3.1"),
  );
  for (const [tag, entries] of operationsByTag(spec)) {
    main.append(element("h2", { textContent: tag }));
    contents.append(element("h2", { textContent: tag }));
    for (const { path, verb, operation } of entries) {
      main.append(card(spec, path, verb, operation));
      contents.append(link(path, verb, operation));
    }
  }
}

function link(path, verb, operation) {
  const made = element(
    "a",
    { href: `#${operation.operationId}`, title: operation.summary },
    element("span", { class: `verb ${verb}`, textContent: verb.toUpperCase() }),
    element("span", { textContent: operation.operationId }),
  );
  made.dataset.words = `${path} ${operation.operationId} ${operation.summary}`.toLowerCase();
  return made;
}

function openNamed() {
  const id = decodeURIComponent(location.hash.slice(1));
  for (const each of document.querySelectorAll("#contents a")) {
    each.setAttribute("aria-current", String(each.hash.slice(1) === id));
  }
  const box = id && document.getElementById(id);
  if (!box) return;
  box.open = true;
  box.scrollIntoView();
}

function filter(text) {
  const words = text.trim().toLowerCase().split(/\s+/);
  for (const each of document.querySelectorAll("#contents a")) {
    const found = words.every((word) => each.dataset.words.includes(word));
    each.classList.toggle("hidden", !found);
    document.getElementById(each.hash.slice(1))?.classList.toggle("hidden", !found);
  }
}

async function start() {
  watchToken();
  const response = await fetch("/openapi.json");
  draw(await response.json());
  document.querySelector("#filter").addEventListener("input", (event) => filter(event.target.value));
  addEventListener("hashchange", openNamed);
  openNamed();
}

start().catch((error) => {
  document.querySelector("#main").textContent = `The description could not be read: ${error}`;
});
