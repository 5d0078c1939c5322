/** JSON Schema, as /openapi.json has it, made readable: types in words, fields, examples. */

const DEEPEST = 5;

/** Follows a `$ref` within the document. */
export function resolve(document, schema) {
  if (!schema?.$ref) return schema ?? {};
  const path = schema.$ref.slice(2).split("/");
  return resolve(document, path.reduce((node, key) => node?.[key], document));
}

/** The alternatives of a schema without `null`. */
function alternatives(schema) {
  return (schema.anyOf ?? schema.oneOf ?? []).filter((each) => each.type !== "null");
}

function refName(schema) {
  return schema.$ref?.split("/").at(-1);
}

/** A type in a few words: `uuid`, `Meeting[]`, `"video" | "screen"`. */
export function typeName(document, schema) {
  const plain = resolve(document, schema);
  if (plain.const !== undefined) return JSON.stringify(plain.const);
  if (plain.enum) return plain.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (plain.type === "array") return `${typeName(document, plain.items ?? {})}[]`;
  const name = refName(schema ?? {});
  if (name) return name;
  const others = alternatives(plain);
  if (others.length) return others.map((each) => typeName(document, each)).join(" | ");
  return plain.format ?? plain.type ?? "any";
}

/** The object whose fields are worth showing behind a schema, if any. */
export function objectBehind(document, schema) {
  const plain = resolve(document, schema);
  if (plain.type === "array") return objectBehind(document, plain.items);
  if (plain.properties) return plain;
  const others = alternatives(plain);
  return others.length === 1 ? objectBehind(document, others[0]) : null;
}

/** Every object a schema may be, by name: the events of a channel. */
export function variants(document, schema) {
  const others = alternatives(resolve(document, schema));
  return others.length > 1 ? others.filter((each) => each.$ref) : [];
}

/** A value that fits the schema, for the try-it form. Optional fields are left out. */
export function example(document, schema, depth = 0) {
  const plain = resolve(document, schema);
  if (plain.const !== undefined) return plain.const;
  if (plain.enum) return plain.enum[0];
  const others = alternatives(plain);
  if (others.length) return example(document, others[0], depth);
  if (plain.properties && depth < DEEPEST) {
    const needed = plain.required ?? [];
    return Object.fromEntries(
      needed.map((name) => [name, example(document, plain.properties[name], depth + 1)]),
    );
  }
  if (plain.type === "array") return [];
  return scalar(plain);
}

function scalar(schema) {
  if (schema.format === "uuid") return "00000000-0000-4000-8000-000000000000";
  if (schema.format === "date-time") return new Date(Date.now() + 3.6e6).toISOString();
  if (schema.type === "boolean") return false;
  if (schema.type === "integer" || schema.type === "number") return schema.minimum ?? 0;
  return schema.type === "object" ? {} : "text";
}
