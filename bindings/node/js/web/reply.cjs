'use strict'

// Builds the responses that a site sends.

const { errorFromNative } = require('../errors.cjs')
const { toIdentity } = require('./user.cjs')

/** The body of an API's response as a stream; empty for a status without a body. */
function toReadableStream(stream, status) {
  if ([204, 205, 304].includes(status)) {
    stream.cancel()
    return ''
  }
  return new ReadableStream({
    async pull(controller) {
      const chunk = await stream.chunk().catch((error) => {
        throw errorFromNative(error)
      })
      if (chunk) return controller.enqueue(chunk)
      controller.close()
    },
    cancel() {
      stream.cancel()
    },
  }, { highWaterMark: 0 })
}

/** The response of the site, with the application's own error page if it has one. It is told first who was signed out. */
async function buildReply({ errorPage, signedOut: onSignedOut }, { status, headers, body, problem: text, signedOut }, request) {
  if (typeof signedOut === 'string') await onSignedOut?.(toIdentity(JSON.parse(signedOut)), request)
  const problem = typeof text === 'string' ? JSON.parse(text) : undefined
  const isPage = headers.some(([name, value]) => name === 'content-type' && value.startsWith('text/html'))
  if (problem === undefined || !isPage || errorPage === undefined) return { status, headers, body, problem }
  const remainingHeaders = headers.filter(([name]) => name !== 'content-type' && name !== 'content-security-policy')
  const page = String(await errorPage({ ...problem, status }))
  return { status, headers: [...remainingHeaders, ['content-type', 'text/html; charset=utf-8']], body: page, problem }
}

module.exports = { buildReply, toReadableStream }
