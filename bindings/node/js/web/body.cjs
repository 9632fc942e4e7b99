'use strict'

// Reads request bodies, up to a limit.

const { joined } = require('#host')

/** The placeholder for a body that exceeds the limit. */
const TOO_LARGE = Symbol('too large')

/** Collects the bytes of any iterable stream. */
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

/** The body of a `node:http` request, even if a body parser has already read it. */
async function readBody(request, limit) {
  if (!request.readableDidRead) return collectBytes(request, limit)
  const { body } = request
  if (body === undefined || body === null) return undefined
  const isPlain = typeof body === 'object' && !(body instanceof Uint8Array)
  const isForm = /^application\/x-www-form-urlencoded/i.test(request.headers['content-type'] ?? '')
  const serialize = isForm ? (form) => new URLSearchParams(form).toString() : JSON.stringify
  return collectBytes([Buffer.from(isPlain ? serialize(body) : body)], limit)
}

/** Calls `next` with the body of a request, if it has at most `limit` bytes. */
async function withBody({ body }, limit, next) {
  const content = await body?.(limit)
  return content === TOO_LARGE ? { reply: { status: 413, headers: [], body: '' } } : next(content)
}

module.exports = { readBody, collectBytes, withBody }
