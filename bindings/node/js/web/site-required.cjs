'use strict'

// `site.required`: admits only signed-in users, in any framework; recognizes it by the arguments it passes.

const express = require('./express.cjs')
const fastify = require('./fastify.cjs')
const hono = require('./hono.cjs')
const { readNeed } = require('./requirements.cjs')
const standard = require('./standard.cjs')

/** None matches the arguments of another. Express first: its requests are slow to search for members that they lack. */
const ADAPTERS = [express, fastify, hono, standard]

/** Refuses what cannot be requirements: a page without its request must not pass for one that has a guard. */
function checkNeed(need) {
  if (typeof need === 'object' && need !== null && [Object.prototype, null].includes(Object.getPrototypeOf(need))) return need
  throw new TypeError('site.required needs the request, or an object with what the page needs; as middleware it is passed on without parentheses')
}

/**
 * Admits only users who are signed in and meet the requirements. Works as middleware of each framework, or as a function
 * of a request. Called with requirements, returns a guard with those.
 */
function createRequired(site, need) {
  // Frameworks distinguish handlers by their number of parameters.
  return function required(first, second, third) {
    const adapter = ADAPTERS.find(({ isCalled }) => isCalled(first, second, third))
    if (adapter !== undefined) return adapter.requiredUser(site, need, first, second, third)
    return createRequired(site, readNeed({ ...need, ...checkNeed(first) }))
  }
}

module.exports = { createRequired }
