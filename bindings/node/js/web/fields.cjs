'use strict'

// The head of a request as one string, in lines, which reaches the native half faster than an object or a list of pairs.

/** Replaces line breaks, which no part of a request's head may contain, so that the core refuses the part. */
const line = (text) => (text.includes('\n') ? text.replaceAll('\n', '\0') : text)

/** Header fields as one string. */
const joinFields = (headers) => Array.from(headers, ([name, value]) => `${line(name)}\n${line(value)}`).join('\n')

/** `rawHeaders` of `node:http`, names and values in turn, as one string. */
const textOfRaw = (rawHeaders) => rawHeaders.map(line).join('\n')

/** The head of a request, as the addon reads it: a line each for the access, method, host and target, then the fields. */
function joinHead(access, target, { method, host, headerText, headers }) {
  return `${access}\n${line(method)}\n${line(host ?? '')}\n${target.replaceAll('\n', '%0A')}\n${headerText ?? joinFields(headers)}`
}

/** The head of a visit in parts, as the addon reads it: the fields as pairs, and the host from them if it is not named. */
function splitHead(text) {
  const [access, method, host, target, ...lines] = text.split('\n')
  const headers = Array.from({ length: lines.length >> 1 }, (_, at) => lines.slice(2 * at, 2 * at + 2))
  const find = (wanted) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1]
  return { access, method, host: host || find('host') || find(':authority') || '', target, headers }
}

module.exports = { splitHead, joinHead, textOfRaw }
