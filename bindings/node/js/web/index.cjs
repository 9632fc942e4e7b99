'use strict'

// The exports of the package's `web` entry point.

const { Site } = require('./site.cjs')
const { Refuse, User } = require('./user.cjs')

module.exports = { Refuse, Site, User }
