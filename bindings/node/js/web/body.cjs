'use strict'

// Reads request bodies, up to a limit.

const { joined } = require('#host')

/** The placeholder for a body that is longer than the site reads. */
const TOO_LARGE = Symbol('too large')

/** The bytes of a stream, of any kind that can be iterated. */
async function collectBytes(stream, limit) {
  const chunks = []
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length > limit) return TOO_LARGE
    chunks.push(chunk)
  }
  return new Uint8Array(joined(chunks))
}

/** The body of a request of `node:http`, though a parser may have read it before. */
async function bodyOf(request, limit) {
  if (!request.readableDidRead) return collectBytes(request, limit)
  const { body } = request
  if (body === undefined || body === null) return undefined
  const isPlain = typeof body === 'object' && !(body instanceof Uint8Array)
  const isForm = /^application\/x-www-form-urlencoded/i.test(request.headers['content-type'] ?? '')
  const write = isForm ? (form) => new URLSearchParams(form).toString() : JSON.stringify
  return collectBytes([Buffer.from(isPlain ? write(body) : body)], limit)
}

module.exports = { TOO_LARGE, bodyOf, collectBytes }
