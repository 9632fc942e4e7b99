// Vectors without a conversation: valid API URLs, and addresses that may be connected to.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { core, listen, rejection, root } from './helper.mjs'

const { Network, ResourceConnection, fixedToken } = core
const { vectors } = JSON.parse(await readFile(path.join(root, 'tests/vectors/vectors.json'), 'utf8'))
const vectorsStartingWith = (...beginnings) =>
  vectors.filter(({ id }) => beginnings.some((beginning) => id.startsWith(beginning)))

// Of URLs that are right the package shows the text as given: their normal form is what it sends.
const noResources = vectorsStartingWith('mcp-resource-').filter(({ expected }) => expected.error)
// Addresses that are allowed would be connected to: those are asked of the transport, in Rust.
const addresses = vectorsStartingWith('ssrf-ip-', 'ssrf-host-').filter(({ expected }) => !expected.allowed)

async function code(url, policy) {
  const network = new Network({ addresses: policy, proxy: 'direct', connectTimeoutMs: 500 })
  return (await rejection(fixedToken('t', { origins: [new URL(url).origin], fetch: network.fetch }).fetch(url))).code
}

test('all vectors are tested', () => assert.deepEqual([noResources.length, addresses.length], [2, 29]))

for (const { id, input } of noResources) {
  test(`a URL that is not that of an API is refused: ${id}`, () => {
    assert.throws(() => new ResourceConnection(input.server_url), { code: 'resource.syntax' })
  })
}

for (const { id, input: { resolved_address: address, url = address.includes(':') ? `https://[${address}]/` : `https://${address}/` } } of addresses) {
  test(`a connection to a non-public address is rejected: ${id}`, async () => {
    // JavaScript's URL reads numbers in disguise; what is left of it is not a host, and is not looked up.
    const isDisguised = url.includes('::ffff:') || url.includes('//localhost./')
    assert.equal(await code(url, 'public_only'), isDisguised ? 'url.syntax' : 'lost.not_public')
  })
}

test('a non-public address is connected to if any address is allowed', async () => {
  const inside = (await listen((request, reply) => reply.end())).replace('http:', 'https:')
  assert.notEqual(await code(inside, 'any'), 'lost.not_public')
  assert.equal(await code(inside, 'public_only'), 'lost.not_public')
})
