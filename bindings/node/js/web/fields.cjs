'use strict'

// Header fields as one text, names and values by turns: it crosses to the native half faster than a list of pairs.

/** A line break belongs to neither a name nor a value, and what has one is no field. */
const line = (text) => (text.includes('\n') ? text.replaceAll('\n', '\0') : text)

/** The fields as they cross. */
const textOf = (headers) => Array.from(headers, ([name, value]) => `${line(name)}\n${line(value)}`).join('\n')

/** The same fields as pairs. */
function pairsOf(text) {
  const lines = text.split('\n')
  return Array.from({ length: lines.length >> 1 }, (_, at) => lines.slice(2 * at, 2 * at + 2))
}

module.exports = { pairsOf, textOf }
