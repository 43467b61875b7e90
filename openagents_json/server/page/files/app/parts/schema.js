/**
 * A field of a form that a JSON Schema asks for; the name of a value that is no object is empty.
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} hint
 * @property {"text" | "long" | "number" | "check" | "choice" | "json"} kind
 * @property {boolean} isRequired
 * @property {unknown[]} choices
 * @property {unknown} initial
 */

const KINDS = Object.freeze({ string: "text", integer: "number", number: "number", boolean: "check" });
const LONG_TEXT = 200;

/**
 * Return the fields for a value that a schema describes: one for each property of an object, else one for all of it.
 * @param {any} schema
 * @returns {Field[]}
 */
export function fieldsOf(schema) {
  if (schema === null || typeof schema !== "object") return [field("", {}, false)];
  const properties = schema.properties;
  if (typeof properties !== "object" || properties === null) return [field("", schema, false)];
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  return Object.entries(properties).map(([name, part]) => field(name, part, required.has(name)));
}

/**
 * @param {string} name
 * @param {any} part
 * @param {boolean} isRequired
 * @returns {Field}
 */
function field(name, part, isRequired) {
  const schema = typeof part === "object" && part !== null ? part : {};
  return {
    name,
    label: String(schema.title ?? (name || "Value")),
    hint: String(schema.description ?? ""),
    kind: kindOf(schema, isRequired),
    isRequired,
    choices: schema.type === "boolean" ? [true, false] : (schema.enum ?? []),
    initial: schema.default,
  };
}

/**
 * @param {any} schema
 * @param {boolean} isRequired
 * @returns {Field["kind"]}
 */
function kindOf(schema, isRequired) {
  if (Array.isArray(schema.enum)) return "choice";
  // A box is either checked or not: what may be left out needs a third answer.
  if (schema.type === "boolean" && !isRequired && schema.default === undefined) return "choice";
  const kind = /** @type {Record<string, Field["kind"]>} */ (KINDS)[schema.type] ?? "json";
  return kind === "text" && schema.maxLength > LONG_TEXT ? "long" : kind;
}

/**
 * Return the text that a field begins with.
 * @param {Field} field
 * @returns {string}
 */
export function initialText({ kind, initial }) {
  if (initial === undefined) return kind === "check" ? "false" : "";
  return kind === "text" || kind === "long" ? String(initial) : JSON.stringify(initial);
}

/**
 * Return what the texts in the fields of a form mean; of what is left empty, nothing.
 * @param {Field[]} fields
 * @param {Record<string, string>} texts by the names of the fields
 * @returns {unknown}
 * @throws {SyntaxError} where one is to be JSON and is none
 */
export function valueOf(fields, texts) {
  if (fields.length === 1 && fields[0].name === "") return read(fields[0], texts[""] ?? "") ?? null;
  const parts = fields.map((each) => [each.name, read(each, texts[each.name] ?? "")]);
  return Object.fromEntries(parts.filter(([, value]) => value !== undefined));
}

/**
 * @param {Field} field
 * @param {string} text
 */
function read(field, text) {
  if (field.kind === "text" || field.kind === "long") return text === "" && !field.isRequired ? undefined : text;
  return text.trim() === "" ? undefined : JSON.parse(text);
}
