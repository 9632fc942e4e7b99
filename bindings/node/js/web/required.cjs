'use strict'

// `site.required`, which recognizes each framework by the arguments it is called with.

const express = require('./express.cjs')
const fastify = require('./fastify.cjs')
const hono = require('./hono.cjs')
const { needOf } = require('./requirements.cjs')
const standard = require('./standard.cjs')

/** By what they are called with; Fastify gives what Express does, and more. */
const SHAPES = [fastify, hono, express, standard]

/**
 * What lets nobody by who is not signed in, or has not done what is needed: middleware of each framework, or a function
 * of a request. Called with what is needed, the same for that.
 */
function requiredOf(site, need) {
  // Frameworks look at how many parameters there are.
  return function required(first, second, third) {
    const shape = SHAPES.find(({ isCalled }) => isCalled(first, second, third))
    if (shape !== undefined) return shape.required(site, need, first, second, third)
    return requiredOf(site, needOf({ ...need, ...first }))
  }
}

module.exports = { requiredOf }
