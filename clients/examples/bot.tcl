#!/usr/bin/env tclsh
# A bot in Tcl, with stock ssh: answers each message of a stream, once, whatever happens to the server or to it.
#
#   bot.tcl HOST SSH_CONFIG NODE [STREAM [SUBJECT]]
#
# HOST and SSH_CONFIG are ssh's (`ssh -F SSH_CONFIG HOST`), NODE is the bot's durable name: as consumer NODE of STREAM (WORK) it
# publishes an answer to each message on SUBJECT (answers.NODE) under the id NODE-SEQ, and acknowledges when the answer is stored.
# What was not acknowledged comes again, and an answer that was stored is not stored twice under its id. Ends with SIGTERM.
if {$argc < 3} {
    puts stderr "usage: bot.tcl HOST SSH_CONFIG NODE ?STREAM ?SUBJECT??"
    exit 2
}
lassign $argv host config node stream subject
if {$stream eq ""} {set stream WORK}
if {$subject eq ""} {set subject answers.$node}

proc one_link {host config node stream subject} {
    set ssh [open "|[list ssh -F $config -o BatchMode=yes -s $host kedge-json 2>@stderr]" r+]
    fconfigure $ssh -buffering line -encoding utf-8 -translation lf
    try {
        puts $ssh [format {{"op":"hello","node":"%s"}} $node]
        puts $ssh [format {{"op":"consume","stream":"%s","consumer":"%s","start":"first"}} $stream $node]
        while {[gets $ssh line] >= 0} {
            # The comma: beside a non-greedy part Tcl makes all of the expression so, and one digit would do.
            if {[regexp {^\{"op":"msg",.*?,"seq":(\d+),} $line -> seq]} {
                # The body is escaped as JSON wants it, and goes back so.
                set body "something that is no text"
                regexp {,"data":"(.*)"\}$} $line -> body
                puts $ssh [format {{"op":"pub","id":"%s-%s","subject":"%s","data":"did %s"}} $node $seq $subject $body]
            } elseif {[regexp [format {^\{"op":"ok","id":"%s-(\d+)"} $node] $line -> seq]} {
                puts $ssh [format {{"op":"ack","consumer":"%s","seq":%s}} $node $seq]
            } elseif {[regexp {^\{"op":"(error|bye)"} $line]} {
                puts stderr $line
                break
            }
        }
    } finally {
        catch {close $ssh}
    }
}

while {1} {
    # A link that is gone shows in a read or a write; on the next one what was not acknowledged comes again.
    catch {one_link $host $config $node $stream $subject}
    after 1000
}
