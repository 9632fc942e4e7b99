'use strict'

// `site.required`, which recognizes each framework by the arguments it is called with.

const express = require('./express.cjs')
const fastify = require('./fastify.cjs')
const hono = require('./hono.cjs')
const { needOf } = require('./requirements.cjs')
const standard = require('./standard.cjs')

/** Tried in this order: Fastify's arguments would also match Express. */
const SHAPES = [fastify, hono, express, standard]

/**
 * Admits only users who are signed in and meet the requirements. Works as middleware of each framework, or as a function
 * of a request. Called with requirements, it returns the same for those.
 */
function requiredOf(site, need) {
  // Frameworks distinguish handlers by their number of parameters.
  return function required(first, second, third) {
    const shape = SHAPES.find(({ isCalled }) => isCalled(first, second, third))
    if (shape !== undefined) return shape.requiredUser(site, need, first, second, third)
    return requiredOf(site, needOf({ ...need, ...first }))
  }
}

module.exports = { requiredOf }
