'use strict'

const { Site } = require('./site.cjs')
const { Refuse, User } = require('./user.cjs')

module.exports = { Refuse, Site, User }
