/** A part of a file that is one of the members of a zip. @typedef {{method: number, size: number, packed: number, at: number}} Member */

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const LONGEST_END = 65_557;
const HEADER = 30;
const DEFLATED = 8;
const NOT_A_ZIP = "It is no zip, or one that is cut.";

/** What is wrong with a file that somebody dropped. */
export class Unreadable extends Error {}

/**
 * Return the members of a zip by their names; none of them is unpacked yet.
 * @param {Blob} file
 * @returns {Promise<Map<string, Member>>}
 */
export async function membersOf(file) {
  const { first, length, count } = await directoryOf(file);
  const view = await viewOf(file, first, length);
  const members = new Map();
  let at = 0;
  for (let number = 0; number < count; number += 1) {
    if (at + 46 > length || view.getUint32(at, true) !== ENTRY) throw new Unreadable(NOT_A_ZIP);
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const name = new TextDecoder().decode(view.buffer.slice(at + 46, at + 46 + nameLength));
    members.set(name, {
      method: view.getUint16(at + 10, true), packed: view.getUint32(at + 20, true),
      size: view.getUint32(at + 24, true), at: view.getUint32(at + 42, true),
    });
    at += 46 + nameLength + extra + comment;
  }
  return members;
}

/**
 * Return a member unpacked, which may have so many bytes at most.
 * @param {Blob} file
 * @param {Member} member
 * @param {number} most
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function unpacked(file, member, most) {
  const header = await viewOf(file, member.at, HEADER);
  const from = member.at + HEADER + header.getUint16(26, true) + header.getUint16(28, true);
  const packed = file.slice(from, from + member.packed);
  const stream = member.method === DEFLATED ? packed.stream().pipeThrough(new DecompressionStream("deflate-raw")) : packed.stream();
  const result = new Uint8Array(Math.min(member.size, most));
  let filled = 0;
  // A few bytes can unpack to any number: what is longer than it says of itself is not held.
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read().catch(() => { throw new Unreadable(NOT_A_ZIP); });
    if (done) break;
    if (filled + value.length > result.length) throw new Unreadable(`A part of it has more than ${result.length} bytes.`);
    result.set(value, filled);
    filled += value.length;
  }
  if (filled !== member.size) throw new Unreadable(NOT_A_ZIP);
  return result;
}

/** @param {Blob} file */
async function directoryOf(file) {
  const tail = Math.max(0, file.size - LONGEST_END);
  const view = await viewOf(file, tail, file.size - tail);
  for (let at = view.byteLength - 22; at >= 0; at -= 1) {
    if (view.getUint32(at, true) !== END) continue;
    const [count, length, first] = [view.getUint16(at + 10, true), view.getUint32(at + 12, true), view.getUint32(at + 16, true)];
    if (first + length <= file.size) return { count, length, first };
  }
  throw new Unreadable(NOT_A_ZIP);
}

/**
 * @param {Blob} file
 * @param {number} from
 * @param {number} length
 */
async function viewOf(file, from, length) {
  const bytes = await file.slice(from, from + length).arrayBuffer();
  if (bytes.byteLength !== length) throw new Unreadable(NOT_A_ZIP);
  return new DataView(bytes);
}
