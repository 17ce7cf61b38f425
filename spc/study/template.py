"""The commented document that ``spc init`` writes."""

from __future__ import annotations

__all__ = ["TEMPLATE"]

TEMPLATE = """\
# A study document. It says what a study is made of: files, questions, links, terms of money, confidentiality.
# The same document gives the same report again. Lines that begin with # are remarks.
#
#   spc check study.toml     is anything wrong with the document or the files?
#   spc run study.toml       fit the chain, count the money, write the report
#   spc schema study         every key that may stand here
#
# The tables beside it are made up: replace them with your own and change the names below.

[study]
name = "Example study"
currency = "EUR"                    # of every amount
seed = 1                            # every random draw follows from it

# ---- Tables -----------------------------------------------------------------------------------------------------
# One part per table; leave out what you do not have (customers only, employees only and no money are all fine).
# Files: .csv .tsv .parquet .xlsx .sav .duckdb, beside this document or in a folder below it.
# Columns: spc schema employee_responses, spc schema units, and so on.

[tables.employee_responses]         # one row an answered employee questionnaire
file = "employees.csv"
# table = "Sheet1"                  # sheet of a workbook, table of a database
# encoding = "cp1252"               # only when it is not found out rightly
# missing = [-99, "n/a"]            # codes that mean no answer
# columns = { respondent = "SUBNUM", unit = ["BTN", "COMPANY"], wave = "TIME" }
#                                   # our name = heading in the file; a list of headings is joined with "-"

[tables.customer_responses]         # one row an answered customer questionnaire
file = "customers.csv"

[tables.units]                      # one row a unit (branch, store, team): its results
file = "units.csv"

[tables.customers]                  # the ledger: one row a customer, with tenure, whether it left, and margin
file = "accounts.csv"

# ---- Constructs -------------------------------------------------------------------------------------------------
# What is measured, and by which columns. The nine names of the service-profit chain below are those of the preset.
# scale: lowest and highest answer. reverse: items whose high answers mean little of the construct.
# minimum_share: a person gets a score when at least this share of the items is answered (0.5 when left out).

[constructs.internal_service_quality]
table = "employee_responses"
items = ["isq1", "isq2", "isq3", "isq4"]
scale = [1, 7]
reverse = ["isq4"]
minimum_share = 0.5
label = "Internal service quality"  # how the report calls it

[constructs.employee_satisfaction]
table = "employee_responses"
items = ["es1", "es2", "es3"]
scale = [1, 7]
reverse = ["es3"]

[constructs.employee_loyalty]
table = "employee_responses"
items = ["el1", "el2", "el3"]
scale = [1, 7]
reverse = ["el2"]

[constructs.employee_productivity]
table = "employee_responses"
items = ["ep1", "ep2", "ep3"]
scale = [1, 7]

[constructs.customer_value]
table = "customer_responses"
items = ["cv1", "cv2", "cv3"]
scale = [1, 10]

[constructs.customer_satisfaction]
table = "customer_responses"
items = ["cs1", "cs2", "cs3"]
scale = [1, 10]

[constructs.customer_loyalty]
table = "customer_responses"
items = ["cl1", "cl2", "cl3"]
scale = [1, 10]
reverse = ["cl3"]

[constructs.revenue_growth]         # a quantity, not an answer: no scale
table = "units"
items = ["revenue_growth"]

[constructs.profitability]
table = "units"
items = ["profitability"]
label = "Profitability (contribution ratio)"

# ---- Chain ------------------------------------------------------------------------------------------------------

[chain]
preset = "service-profit-chain"     # the links of the chain among the constructs above; or write your own:
# model = \"\"\"
#   employee_satisfaction ~ internal_service_quality
#   customer_satisfaction ~ employee_satisfaction
# \"\"\"
level = "auto"                      # unit, person; auto: units when both sides are there, else persons
measurement = "auto"                # scores, facets, items; auto: scores for units, items for persons
# wave = 2026                       # wave of the last construct; the latest when left out

# [[chain.lags]]                    # one such part per link that takes time; needs a wave column
# from = "employee_satisfaction"
# to = "customer_satisfaction"
# waves = 1

# ---- Money ------------------------------------------------------------------------------------------------------

[money]
horizon = 5                         # periods ahead that count
discount = 0.10                     # per period: 0.10 is ten per cent
period = "year"                     # week, month, quarter, year
points = 0.05                       # the rise in retention to put a price on: five points
acquisition_cost = 0                # of winning one customer
# first_margin = true               # count the running period's margin; else value starts with the next renewal
# since = "2020-01-01"              # first day of a ledger with dates that leaves out who had left before
# until = "2026-12-31"              # last day that a ledger with dates knows of
# recommend = "nps"                 # columns of the customers' answers: would recommend us, from 0 to 10,
# recommend_rival = "nps_rival"     # and would recommend the rival they know best
# brand_before = "brand_before"     # whose customer they were,
# brand_now = "brand_now"           # and are now

# ---- Accounts ---------------------------------------------------------------------------------------------------
# A profit-and-loss for every customer, to the cent: spc accounts study.toml. Needs one row a sales line:
# [tables.transactions] with customer, date, amount (spc schema transactions), and perhaps [tables.costs].

# [accounts]
# period = "year"                   # month, quarter, year, all
# year_start = 7                    # years that begin in July
# until = "2026-12-31"              # last day of the books
# [[accounts.drivers]]              # lines of the account; taken from the columns when left out
#   name = "gross_revenue"
#   kind = "column"                   # adds up a column
#   side = "revenue"                  # revenue is added; deduction and cost are taken off
#   column = "amount"
# [[accounts.drivers]]
#   name = "service"
#   kind = "rate"                     # quantity x rate; rate = resource_cost / capacity, what is unused is shown
#   table = "costs"
#   column = "quantity"
#   where = { cost_driver = "service" }
#   resource_cost = 90000
#   capacity = 120000
# [[accounts.drivers]]
#   name = "warehouse"
#   kind = "pool"                     # an amount divided by share, to the last cent
#   column = "quantity"
#   amount = 48000
# [accounts.effort]                 # which visits come first: spc accounts --part visits
#   hours = { service = 0.0167 }      # hours a piece of lines at a rate
#   capacity = 400                    # hours of visits that there are
# [accounts.control]                # totals of the general ledger; accounts that miss them are an error
#   contribution = 1234567.89

# ---- Confidentiality and report ---------------------------------------------------------------------------------

[disclosure]
minimum_group = 5                   # no score of fewer people than this is shown; may be raised, not below 3
minimum_comments = 10
# merge_into = "region"             # region | parent: units of fewer people are put together within it, not hidden

[report]
title = "Example study: what the chain is worth"
# audience = "board"                # board | analyst | researcher: how much of method and tables is shown
# leave_out = ["drivers"]           # sections left out; notes and confidentiality stay
# accent = "#0f6f8c"                # colour of links and marks
# logo = "logo.png"                 # picture beside this file
# [[report.levers]]                 # what the scenarios offer; page one ranks by profit per cost
#   construct = "internal_service_quality"
#   by = 0.3                        # points of its scale
#   cost = 240000                   # once; running_cost = each period
#   label = "New tools for the shop floor"
"""
"""Text of the document; its constructs are those of :func:`spc.synthetic.make_firm`."""
